"""Time the steps of requests over a real port."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from apiserver.apis.status import conflict
from apiserver.filters import steps
from apiserver.filters.steps import with_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.handlers.request.call import Call, Handler

CALL: Any = object()


class Times:
    """Keep the times that are reported."""

    def __init__(self) -> None:
        self.steps: list[float] = []

    def took(self, call: Call, seconds: float) -> None:
        assert call is CALL
        self.steps.append(seconds)


class Clock:
    """A clock that stands still, except for code that adds to `now`."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


async def run(handler: Handler) -> tuple[Times, Any]:
    """Return the steps of one call, and how it ended."""
    times = Times()
    work = asyncio.ensure_future(with_steps(times)(handler)(CALL))
    return times, (await asyncio.gather(work, return_exceptions=True))[0]


async def test_each_step_is_timed_and_what_is_waited_for_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, clock = web.Response(), Clock()
    monkeypatch.setattr(steps, "time", clock)

    async def wait() -> None:
        asyncio.get_running_loop().call_soon(setattr, clock, "now", clock.now + 100.0)
        await asyncio.sleep(0)

    async def handler(call: Call) -> web.StreamResponse:
        clock.now += 2.0
        await wait()
        clock.now += 4.0
        await wait()
        return answer

    times, found = await run(handler)
    assert found is answer
    assert (times.steps, clock.now) == ([2.0, 4.0, 0.0], 206.0)


@pytest.mark.parametrize("failure", [lambda: conflict("g", "things", "x", "taken"), ValueError, asyncio.CancelledError])
async def test_failures_pass(failure: Callable[[], BaseException]) -> None:
    error = failure()

    async def handler(call: Call) -> web.StreamResponse:
        await asyncio.sleep(0)
        raise error

    times, found = await run(handler)
    assert type(found) is type(error)
    assert len(times.steps) == 2


async def test_what_is_waited_for_may_fail_and_be_cancelled() -> None:
    seen = list[str]()

    async def handler(call: Call) -> web.StreamResponse:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)
        except TimeoutError:
            seen.append("late")
        future = asyncio.get_running_loop().create_future()
        future.set_exception(OSError())
        try:
            await future
        except OSError:
            seen.append("failed")
        return web.Response()

    assert isinstance((await run(handler))[1], web.Response)
    assert seen == ["late", "failed"]


async def test_a_failure_is_not_kept() -> None:
    class Large(Exception):
        """Hold memory that must be freed without the garbage collector."""

    kept: list[weakref.ref[Large]] = []

    def made() -> Large:
        error = Large()
        kept.append(weakref.ref(error))
        return error

    async def handler(call: Call) -> web.StreamResponse:
        await failing.pop()  # its exception would refer to the future
        return web.Response()

    failing = [asyncio.get_running_loop().create_future()]
    asyncio.get_running_loop().call_soon(failing[0].set_exception, made())
    gc.disable()
    try:
        with suppress(Large):
            await with_steps(Times())(handler)(CALL)
        await asyncio.sleep(0)
        assert kept[0]() is None
    finally:
        gc.enable()


def test_nothing_is_between_without_a_meter() -> None:
    async def handler(call: Call) -> web.StreamResponse:
        return web.Response()

    assert with_steps(None)(handler) is handler
