"""Start processes with a log and a written record, so that any later process can end or restart
them.

Each start is one line of `processes.jsonl`. A pid alone may have been reused after a reboot or a
crash. So the record also holds the kernel's start time of the process, and only a process that
matches both is ever signalled. Linux only (/proc).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

POLL = 0.05
TAIL_LINES = 25
TERM_SECONDS = 15.0
KILL_SECONDS = 5.0


class ProcessError(Exception):
    """Reports that a process died, or that a condition was not met in time.

    The text states which one, and shows the end of its log."""


@dataclass(frozen=True)
class Process:
    """One started process.

    `stage` orders the shutdown: all processes of the highest stage end first. `started` is in clock
    ticks since boot."""

    name: str
    pid: int
    started: int
    stage: int
    argv: tuple[str, ...]
    log: str

    def running(self) -> bool:
        """Return whether it still runs (a zombie does not)."""
        return _start_time(self.pid) == self.started

    def tail(self) -> str:
        """Return the last lines of its log."""
        lines = Path(self.log).read_text(errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join(f"  | {line}" for line in lines) or "  | (its log is empty)"


class Processes:
    """The processes of one cluster folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = folder / "processes.jsonl"

    def start(self, name: str, argv: Sequence[str | Path], *, stage: int) -> Process:
        """Start `argv` in a session of its own, with `<folder>/logs/<name>.log` as its output, and
        record it."""
        log = self._folder / "logs" / f"{name}.log"
        with log.open("ab") as output:
            child = subprocess.Popen(
                [str(part) for part in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self._folder,
            )
        process = Process(name, child.pid, _start_time(child.pid) or 0, stage, tuple(str(part) for part in argv), str(log))
        # The child is ended by pid, often by another process. A Popen object would warn about that
        # when it is collected.
        child.returncode = 0
        with self._record.open("a") as record:
            record.write(json.dumps(asdict(process)) + "\n")
        return process

    def recorded(self) -> list[Process]:
        """Return every process ever started for this folder, the oldest first."""
        if not self._record.exists():
            return []
        rows = (json.loads(line) for line in self._record.read_text().splitlines() if line.endswith("}"))
        return [Process(**{**row, "argv": tuple(row["argv"])}) for row in rows]

    def named(self, name: str) -> Process:
        """Return the latest process started under `name`. Raises KeyError if there is none."""
        for process in reversed(self.recorded()):
            if process.name == name:
                return process
        raise KeyError(f"no process {name!r} was started for {self._folder}")

    async def restart(self, name: str, *, gently: bool = True) -> tuple[Process, Process]:
        """End the process `name` and start it again with the same arguments. Return the old and the
        new one.

        If not `gently`, it is killed at once."""
        old = self.named(name)
        await stop(old, gently=gently)
        return old, self.start(name, old.argv, stage=old.stage)

    async def stop_all(self, term_seconds: float = TERM_SECONDS) -> list[str]:
        """End every recorded process that still runs, stage by stage. Return the names of those
        that had to be killed."""
        running = [process for process in self.recorded() if process.running()]
        killed: list[str] = []
        for stage in sorted({process.stage for process in running}, reverse=True):
            members = [process for process in running if process.stage == stage]
            ended = await asyncio.gather(*(stop(process, term_seconds=term_seconds) for process in members))
            killed += [process.name for process, gently in zip(members, ended, strict=True) if not gently]
        return killed


async def stop(process: Process, *, gently: bool = True, term_seconds: float = TERM_SECONDS) -> bool:
    """End a process: TERM, then KILL after `term_seconds` (or KILL at once if not `gently`).

    Returns whether it ended without KILL."""
    if gently:
        _signal(process, signal.SIGTERM)
        if await _gone(process, term_seconds):
            return True
    _signal(process, signal.SIGKILL)
    if not await _gone(process, KILL_SECONDS):
        raise ProcessError(f"{process.name} (pid {process.pid}) survived SIGKILL for {KILL_SECONDS} s; look at it with ps")
    return False


async def _gone(process: Process, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process.running():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL)
    return True


def _signal(process: Process, number: signal.Signals) -> None:
    if process.running():
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return


def _start_time(pid: int) -> int | None:
    """Return field 22 of /proc/PID/stat, or None if there is no such process or it is a zombie.

    A zombie child of this process is reaped, because nothing else waits for it.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the command in parentheses, and may itself contain spaces and parentheses.
    state, *rest = stat.rpartition(")")[2].split()
    if state != "Z":
        return int(rest[18])
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return None
