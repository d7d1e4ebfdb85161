"""Kill the process with SIGKILL while it writes: acknowledged commits are stored, no commit is
stored in part, and no revision is used again."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from storage.base import Put
from storage.sqlite import SQLiteStore
from storage.testing.harness import collect, opened

PROGRAM = Path(__file__).with_name("crash_writer.py")
KILLS = 5


def write_and_kill(path: Path, run: int, acknowledgements: int) -> dict[str, int]:
    """Let the program write, and kill it after some acknowledgements. Return all that it
    acknowledged: commit → revision."""
    with subprocess.Popen([sys.executable, str(PROGRAM), str(path), str(run)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(acknowledgements)]
        finally:
            process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return {name: int(revision) for name, revision in (line.split() for line in lines if line.endswith("\n"))}


async def check(path: Path, acknowledged: dict[str, int]) -> None:
    async with opened(SQLiteStore(path)) as store:
        current = await store.current_revision()
        assert current >= max(acknowledged.values())
        events = [event for event in await collect(store, "/", 1, current) if event.type == "put"]
        halves: dict[str, set[tuple[str, int]]] = {}
        for event in events:
            name, half = event.key[1:].split("/")
            halves.setdefault(name, set()).add((half, event.revision))
        for name, revision in acknowledged.items():
            assert halves[name] == {("a", revision), ("b", revision)}
        assert all({half for half, _ in found} == {"a", "b"} for found in halves.values())
        # Each commit has a revision of its own.
        assert len({event.revision for event in events}) == len(halves)
        assert await store.commit([Put("/next", b"")]) == current + 1


async def test_acknowledged_means_durable(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    acknowledged: dict[str, int] = {}
    for run in range(KILLS):
        highest = max(acknowledged.values(), default=0)
        new = write_and_kill(path, run, 50 + 37 * run)
        assert min(new.values()) > highest
        acknowledged |= new
    await check(path, acknowledged)
