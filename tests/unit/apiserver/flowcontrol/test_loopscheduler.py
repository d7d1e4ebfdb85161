"""Check how the event loop's time is shared, by a clock that only work advances."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from apiserver.flowcontrol.loopscheduler import ARRIVAL, LONGEST, ROUND, LoopScheduler

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Loop:
    """Run a LoopScheduler whose clock is the work that was done."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done: list[str] = []
        self.shared = LoopScheduler(clock=lambda: self.now)

    async def work(self, name: str, steps: int, seconds: float) -> None:
        for _ in range(steps):
            self.now += seconds
            self.done.append(name)
            await asyncio.sleep(0)

    def start(self, name: str, steps: int, seconds: float, *, reserved: bool = False) -> asyncio.Task[None]:
        return asyncio.create_task(self.shared.run("level", name, self.work(name, steps, seconds), reserved=reserved))


async def turn(rounds: int = 1) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


async def test_a_light_users_request_waits_for_one_round_of_a_greedy_ones() -> None:
    loop = Loop()
    greedy = [loop.start("greedy", 20, 2 * ROUND) for _ in range(64)]
    await turn(30)
    for _ in range(5):
        before = len(loop.done)
        await loop.start("light", 1, ROUND / 20)
        assert loop.done[before:].index("light") <= 2
        await turn(3)
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


async def test_a_request_of_several_steps_waits_for_one_long_step_in_all() -> None:
    loop = Loop()
    greedy = [loop.start("greedy", 1_000, 5 * ROUND) for _ in range(20)]
    await turn(50)
    for _ in range(5):
        before = len(loop.done)
        await loop.start("light", 3, ROUND / 20)
        between = loop.done[before:]
        assert between[: len(between) - between[::-1].index("light")].count("greedy") <= 2
        await turn(7)
    assert loop.done.count("greedy") > 10
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


async def test_nothing_is_shared_out_while_a_request_is_on_its_way() -> None:
    loop = Loop()
    greedy = [loop.start("greedy", 1_000, ROUND / 2) for _ in range(20)]
    await turn(50)
    for _ in range(5):
        loop.shared.arrived()
        await turn()  # runs the turns granted before
        before = len(loop.done)
        await turn(ARRIVAL - 1)
        assert len(loop.done) == before
        await turn(10)
        assert len(loop.done) > before
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


async def test_a_constant_stream_of_requests_does_not_delay_others_for_ever() -> None:
    loop = Loop()
    greedy = [loop.start("greedy", 1_000, 2 * ROUND) for _ in range(20)]
    await turn(50)
    before, count = len(loop.done), 10 * (LONGEST + 1)
    for _ in range(count):
        loop.shared.arrived()
        await turn()
    assert len(loop.done) - before >= count / (LONGEST + 1) - 1
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


async def test_short_steps_before_a_long_one_do_not_make_it_share_a_round() -> None:
    """Mix short steps with long ones in one flow. It is not known which is next, so each step that
    may be long has a round of its own."""
    loop = Loop()

    async def mixed() -> None:
        for number in range(1_000):
            loop.now += 3 * ROUND if number % 4 == 3 else ROUND / 10
            loop.done.append("step")
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(loop.shared.run("level", "mixed", mixed())) for _ in range(20)]
    await turn(200)
    for _ in range(50):
        before = len(loop.done)
        await turn()
        assert len(loop.done) - before <= 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_each_gets_the_same_time_whatever_its_steps_cost_and_how_many_it_has() -> None:
    loop = Loop()
    tasks = [loop.start("many", 10_000, ROUND / 3) for _ in range(50)]
    tasks += [loop.start("long", 10_000, ROUND * 3) for _ in range(3)]
    tasks += [loop.start("few", 10_000, ROUND / 2) for _ in range(8)]
    while len(loop.done) < 3_000:
        await turn()
    counted = Counter(loop.done)
    had = {"many": counted["many"] / 3, "long": counted["long"] * 3, "few": counted["few"] / 2}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert min(had.values()) > 0.7 * max(had.values()), had


async def test_what_others_do_for_a_flow_is_charged_to_it() -> None:
    loop = Loop()
    tasks = {name: loop.start(name, 10_000, 2 * ROUND) for name in ("watcher", "other")}
    while len(loop.done) < 20:
        await turn()
    before = Counter(loop.done)
    loop.shared.charge("level", "watcher", 50 * ROUND, reserved=False)
    while len(loop.done) < 60:
        await turn()
    had = Counter(loop.done)
    had.subtract(before)
    assert 22 <= had["other"] - had["watcher"] <= 28
    assert loop.shared.seconds["level"] >= 50 * ROUND
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def test_a_reserved_flow_has_half_of_the_time() -> None:
    loop = Loop()
    tasks = [loop.start(f"user-{number}", 10_000, ROUND / 2) for number in range(20)]
    tasks += [loop.start("controllers", 10_000, ROUND / 2, reserved=True) for _ in range(8)]
    while len(loop.done) < 3_000:
        await turn()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert loop.done.count("controllers") > 0.35 * len(loop.done)


async def test_a_request_alone_never_waits() -> None:
    loop = Loop()
    task = loop.start("alone", 5, ROUND / 10)
    await turn(6)
    assert len(loop.done) == 5
    await task


async def test_results_failures_and_cancellation_come_through() -> None:
    loop = Loop()
    seen: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def gives() -> int:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        return 7

    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("no")

    async def late() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()

    async def run(what: Coroutine[object, object, object]) -> object:
        return await loop.shared.run("level", "user", what)

    assert await run(gives()) == 7
    with pytest.raises(LookupError):
        await run(fails())
    with pytest.raises(TimeoutError):
        await run(late())
    task = asyncio.create_task(run(waits()))
    await turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


async def test_work_that_is_cancelled_while_it_waits_ends() -> None:
    loop = Loop()
    ended = []

    async def long(name: str) -> None:
        try:
            await loop.work(name, 1_000, 5 * ROUND)
        finally:
            ended.append(name)

    tasks = [asyncio.create_task(loop.shared.run("level", "user", long(f"task-{number}"))) for number in range(20)]
    await turn(100)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    assert set(ended) == set(loop.done)
    assert not [flow for flow in loop.shared._queue.flows.values() if flow.held]
