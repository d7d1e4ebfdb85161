"""Divide long work on an event loop into turns, and yield to everything else between two turns.

Only one request with long work has a turn in each iteration of the loop. So a short request waits
for one turn, and for other short requests. Limits: this works for one event loop at a time, and a
turn lasts as long as the work between two calls of `checkpoint`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SECONDS = 0.001
"""The length of a turn in seconds, enough for a few pieces of a list.

Beside dozens of clients that request single objects in sequence, long work then gets about a third
of the time."""
_shared: ContextVar[bool] = ContextVar("shared", default=False)


def _free(_seconds: float) -> None:
    """Charge no user."""


_charge: ContextVar[Callable[[float], None]] = ContextVar("charge", default=_free)


@contextmanager
def sharing(charge: Callable[[float], None] = _free) -> Iterator[None]:
    """Leave the scheduling of work in this block to flowcontrol.loopscheduler.

    Between two turns, the work then only yields to the event loop. `charge`: see charging."""
    tokens = _shared.set(True), _charge.set(charge)
    try:
        yield
    finally:
        _shared.reset(tokens[0])
        _charge.reset(tokens[1])


def charging() -> Callable[[float], None]:
    """Return a function that charges seconds of the event loop to the user of the present request.

    It is for work that another task does for the request. Call it only while the request is
    running."""
    return _charge.get()


class Turns:
    """The queue of callers that wait for their next turn, first come, first served."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def begin(self) -> Turn:
        """Begin the first turn of some work at once, so that short work never waits."""
        return Turn(self)

    async def next(self) -> None:
        """Wait until the caller has its next turn."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # waiters of another event loop are no longer served
            self._loop = loop
            self._waiting.clear()
        future = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._serve, loop)
        self._waiting.append(future)
        await future

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give one turn per iteration of the loop, as long as callers wait.

        A call_soon from here runs in the next iteration."""
        # cancelled, because the client disconnected
        while self._waiting and self._waiting[0].done():
            self._waiting.popleft()
        if self._waiting:
            self._waiting.popleft().set_result(None)
        if self._waiting:
            loop.call_soon(self._serve, loop)


class Turn:
    """The turns of one piece of work."""

    __slots__ = ("_ends", "_turns")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._ends = time.perf_counter() + turns.seconds

    async def checkpoint(self) -> None:
        """Return at once while the turn lasts; otherwise wait for the next turn.

        Call this wherever the work can be interrupted. A turn ends by the clock, even if the work
        awaited something else in between."""
        if time.perf_counter() >= self._ends:
            await self.leave()

    async def leave(self) -> None:
        """Return when the next turn begins, however short this one was.

        Call this before work that cannot be divided."""
        await (asyncio.sleep(0) if _shared.get() else self._turns.next())
        self._ends = time.perf_counter() + self._turns.seconds


TURNS = Turns()
"""The queue of all requests."""
