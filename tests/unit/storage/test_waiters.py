from __future__ import annotations

import asyncio

import pytest

from storage.waiters import Waiters


async def test_each_is_woken_by_its_revision_or_a_later_one() -> None:
    waiters = Waiters()
    tasks = [asyncio.create_task(waiters.wait(revision, 30)) for revision in (5, 3, 4, 3)]
    await asyncio.sleep(0)
    waiters.reached(3)
    await asyncio.gather(tasks[1], tasks[3])
    assert [task.done() for task in tasks] == [False, True, False, True]
    tasks[2].cancel()
    waiters.reached(9)
    await tasks[0]


async def test_time_runs_out() -> None:
    waiters = Waiters()
    with pytest.raises(TimeoutError):
        await waiters.wait(1, 0.01)
    waiters.reached(1)  # a waiter that has left causes no error


async def test_a_failure_ends_all_waits() -> None:
    waiters = Waiters()
    tasks = [asyncio.create_task(waiters.wait(revision, None)) for revision in (1, 2)]
    await asyncio.sleep(0)
    waiters.fail(RuntimeError("no more"))
    for task in tasks:
        with pytest.raises(RuntimeError, match="no more"):
            await task
