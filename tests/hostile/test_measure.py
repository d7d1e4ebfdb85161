"""Check that the measurements find their targets: work in n², loops that are held, and memory that
is kept."""

from __future__ import annotations

import asyncio
import time

from tests.hostile.measure import COUNTS, HELD, Steps, grows, rising, slowness, work


def test_work_in_n_squared_is_found() -> None:
    def quadratic(size: int) -> float:
        found = list(range(size))
        return work(lambda: [number for number in found if found.count(number) > 1]).total

    slow = slowness()
    first = next(size for size in (300 << by for by in range(10)) if quadratic(size) > 2 * COUNTS * slow)
    assert grows([min(quadratic(first << by) for _ in range(3)) for by in range(3)], slow)


def test_linear_work_is_not() -> None:
    slow = slowness()

    def linear(size: int) -> float:
        return min(work(lambda: sorted(str(number) for number in range(size))).total for _ in range(3))

    assert not grows([linear(20_000 << by) for by in range(4)], slow)


def test_a_fall_begins_a_new_count() -> None:
    assert not grows([0.01, 0.03, 0.001, 0.02, 0.05, 0.002], 1.0)
    assert grows([0.01, 0.04, 0.16, 0.001], 1.0)


async def test_steps_are_timed_one_by_one() -> None:
    loop = asyncio.get_running_loop()
    steps = Steps()

    def hold() -> None:
        until = time.thread_time() + HELD
        while time.thread_time() < until:
            pass

    steps.watch(loop)
    try:
        for _ in range(3):
            await asyncio.sleep(0)
        assert steps.longest < HELD
        loop.call_soon(hold)
        await asyncio.sleep(0.01)
        assert steps.longest >= HELD
    finally:
        steps.end()


def test_a_memory_leak_is_found() -> None:
    kept: list[bytes] = []
    size = 1 << 24  # far more than earlier tests have left free

    def leak() -> None:
        kept.extend(bytes(range(256)) * (size // 256) for _ in range(4))

    assert rising(leak) > 2 * size
    assert rising(lambda: [bytes(size) for _ in range(4)]) < size
