"""Do long work in turns: one at a time, with short requests in between."""

from __future__ import annotations

import asyncio

from apiserver.handlers.request.timebudget import Turn, Turns

ALWAYS = 0.0
"""Seconds of a turn that is over as soon as it has begun."""


async def work(turn: Turn, steps: int, done: list[str], name: str) -> None:
    for _ in range(steps):
        done.append(name)
        await turn.checkpoint()


async def test_a_turn_that_lasts_is_not_interrupted() -> None:
    done: list[str] = []
    turns = Turns(seconds=3600)
    await asyncio.gather(work(turns.begin(), 3, done, "a"), work(turns.begin(), 3, done, "b"))
    assert done == ["a"] * 3 + ["b"] * 3


async def test_a_turn_is_left_before_work_that_cannot_be_divided() -> None:
    done: list[str] = []
    asyncio.get_running_loop().call_soon(done.append, "other")
    await Turns(60.0).begin().leave()
    assert done == ["other"]


async def test_one_has_its_turn_each_time_the_loop_comes_around() -> None:
    """Check that other ready tasks wait for one turn only, however many pieces of long work there
    are."""
    done: list[str] = []
    turns = Turns(ALWAYS)
    tasks = [asyncio.create_task(work(turns.begin(), 5, done, str(number))) for number in range(8)]
    await asyncio.sleep(0)
    assert len(done) == 8, "the first turn is free"
    while not all(task.done() for task in tasks):
        before = len(done)
        await asyncio.sleep(0)
        assert len(done) - before <= 1
    assert sorted(done) == sorted(str(number) for number in range(8) for _ in range(5))


async def test_first_come_first_served() -> None:
    done: list[str] = []
    turns = Turns(ALWAYS)
    await asyncio.gather(*(work(turns.begin(), 4, done, name) for name in "abc"))
    assert done == list("abc") * 4


async def test_cancelled_work_delays_no_other() -> None:
    done: list[str] = []
    turns = Turns(ALWAYS)
    tasks = [asyncio.create_task(work(turns.begin(), 3, done, name)) for name in "abc"]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    await tasks[2]
    assert done == ["a", "b", "c", "c", "c"]


def test_a_loop_that_ended_in_between_is_forgotten() -> None:
    turns = Turns(ALWAYS)

    async def left() -> None:
        waiting = asyncio.create_task(turns.next())
        await asyncio.sleep(0)
        waiting.cancel()

    async def wait() -> None:
        async with asyncio.timeout(60):
            await turns.next()

    asyncio.run(left())
    asyncio.run(wait())
