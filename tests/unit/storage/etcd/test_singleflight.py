"""Serve many callers with few requests, and give no caller an answer that is older than its
request."""

from __future__ import annotations

import asyncio

import pytest

from storage.etcd.singleflight import Singleflight


class Counter:
    """Answer with the number of requests so far, once the gate is open."""

    def __init__(self) -> None:
        self.asked = 0
        self.gate, self.twice = asyncio.Event(), asyncio.Event()

    async def ask(self) -> int:
        self.asked += 1
        if self.asked == 2:
            self.twice.set()
        mine = self.asked
        await self.gate.wait()
        return mine


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_concurrent_callers_share_one_request() -> None:
    counter = Counter()
    shared = Singleflight(counter.ask)
    tasks = [asyncio.create_task(shared.get()) for _ in range(50)]
    await turns()
    counter.gate.set()
    assert await asyncio.gather(*tasks) == [1] * 50


async def test_a_later_caller_gets_a_later_answer() -> None:
    counter = Counter()
    shared = Singleflight(counter.ask)
    first = asyncio.create_task(shared.get())
    await turns()
    assert counter.asked == 1
    later = [asyncio.create_task(shared.get()) for _ in range(3)]
    await turns()
    counter.gate.set()
    assert await asyncio.gather(first, *later) == [1, 2, 2, 2]


async def test_one_that_gets_no_answer_does_not_hold_up_the_others() -> None:
    counter = Counter()
    shared = Singleflight(counter.ask)
    stuck = asyncio.create_task(shared.get())
    await turns()
    second = asyncio.create_task(shared.get())
    async with asyncio.timeout(60):
        await counter.twice.wait()
    counter.gate.set()
    assert (await stuck, await second) == (1, 2)


async def test_the_end_of_one_caller_is_not_that_of_the_others() -> None:
    counter = Counter()
    shared = Singleflight(counter.ask)
    tasks = [asyncio.create_task(shared.get()) for _ in range(3)]
    await turns()
    tasks[0].cancel()
    await turns()
    counter.gate.set()
    assert await asyncio.gather(*tasks[1:]) == [1, 1]
    assert tasks[0].cancelled()


async def test_errors_reach_everybody_once() -> None:
    async def fail() -> int:
        raise ValueError("no")

    shared = Singleflight(fail)
    outcomes = await asyncio.gather(*(shared.get() for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3
    with pytest.raises(ValueError, match="no"):
        await shared.get()
