"""Cover real processes: they are started and recorded, and any process that reads the record can
end them."""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING

import pytest

from hack.realcluster import processes
from hack.realcluster.client import wait_for
from hack.realcluster.processes import Process, ProcessError, Processes, stop

if TYPE_CHECKING:
    from pathlib import Path

SLEEPER = [sys.executable, "-c", "import sys, time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def started(tmp_path: Path) -> Processes:
    (tmp_path / "logs").mkdir()
    return Processes(tmp_path)


async def until_it_logs(process: Process, text: str) -> None:
    async def logged() -> str | None:
        return None if text in process.tail() else "not logged"

    await wait_for(f"{process.name} logging {text!r}", logged, seconds=60, processes=[process])


async def test_another_reader_of_the_record_ends_everything(started: Processes, tmp_path: Path) -> None:
    running = [started.start("first", SLEEPER, stage=0), started.start("second", SLEEPER, stage=1)]
    for process in running:
        await until_it_logs(process, "up")
    assert await Processes(tmp_path).stop_all() == []
    assert not any(process.running() for process in running)
    assert await Processes(tmp_path).stop_all() == []


async def test_a_process_that_ignores_sigterm_is_killed_and_named(started: Processes) -> None:
    process = started.start("stubborn", STUBBORN, stage=0)
    await until_it_logs(process, "up")
    assert await started.stop_all(term_seconds=0.1) == ["stubborn"]
    assert not process.running()


async def test_a_reused_pid_is_left_alone(started: Processes) -> None:
    process = started.start("it", SLEEPER, stage=0)
    stranger = dataclasses.replace(process, started=process.started - 1)
    assert not stranger.running()
    assert await stop(stranger)
    assert process.running()
    await started.stop_all()


async def test_waiting_ends_with_the_log_of_a_process_that_died(started: Processes) -> None:
    process = started.start("short", [sys.executable, "-c", "raise SystemExit('no such storage')"], stage=0)

    async def never() -> str | None:
        return "not ready"

    with pytest.raises(ProcessError, match=r"short ended while waiting for it; its log .* ends with\n.*no such storage"):
        await wait_for("it", never, seconds=10, processes=[process])


async def test_waiting_ends_with_what_was_missing(started: Processes) -> None:
    async def never() -> str | None:
        return "3 of 4"

    with pytest.raises(ProcessError, match=r"it did not happen within 0.05 s: 3 of 4"):
        await wait_for("it", never, seconds=0.05)


@pytest.mark.parametrize("gently", [True, False])
async def test_a_restarted_process_is_the_same_again(started: Processes, gently: bool) -> None:
    first = started.start("it", SLEEPER, stage=2)
    await until_it_logs(first, "up")
    old, new = await started.restart("it", gently=gently)
    assert (old, old.running(), new.running()) == (first, False, True)
    assert dataclasses.replace(new, pid=old.pid, started=old.started) == old
    assert started.named("it") == new
    await started.stop_all()
    assert not new.running()


def test_an_unknown_name_is_reported(started: Processes) -> None:
    with pytest.raises(KeyError, match="no process 'nobody' was started"):
        started.named("nobody")


def test_a_torn_line_of_the_record_is_ignored(started: Processes, tmp_path: Path) -> None:
    with (tmp_path / "processes.jsonl").open("a") as record:
        record.write('{"name": "half')
    assert started.recorded() == []


def test_this_process_runs() -> None:
    own = Process("own", os.getpid(), processes._start_time(os.getpid()) or 0, 0, (), "")
    assert own.running()
