"""Divides long work on an event loop into turns, and yields to everything else that is ready between two turns.

Only one request with long work has a turn in each iteration of the loop. So a short request waits for one turn, and for other short
requests. Limits: this works for one event loop at a time, and a turn lasts as long as the work between two calls of `over`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TURNS", "Turn", "Turns", "sharing"]

SECONDS = 0.001
"""How long a turn is: a few pieces of a list. Beside dozens of clients that ask for one object after the other, long work then has about
a third of the time."""
_shared: ContextVar[bool] = ContextVar("shared", default=False)


@contextmanager
def sharing() -> Iterator[None]:
    """Says that whoever runs the block decides when it goes on (filters.looptime): between turns it only has to be left."""
    token = _shared.set(True)
    try:
        yield
    finally:
        _shared.reset(token)


class Turns:
    """The queue of those who wait for their next turn, first come, first served."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    def begin(self) -> Turn:
        """The first turn of some work begins now: what is short never waits."""
        return Turn(self)

    async def next(self) -> None:
        """Return when it is the caller's turn."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # whoever waited on another one will not be served any more
            self._loop = loop
            self._waiting.clear()
        future = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._serve, loop)
        self._waiting.append(future)
        await future

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Once in a round of the loop, as long as somebody waits: what is called soon is called in the next round."""
        while self._waiting and self._waiting[0].done():  # cancelled: the client is gone
            self._waiting.popleft()
        if self._waiting:
            self._waiting.popleft().set_result(None)
        if self._waiting:
            loop.call_soon(self._serve, loop)


class Turn:
    """One piece of work's turns."""

    __slots__ = ("_ends", "_turns")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._ends = time.perf_counter() + turns.seconds

    async def over(self) -> None:
        """Return at once while the turn lasts, else when the next one begins. To be called wherever the work can be left for a while. A
        turn ends by the clock, whatever was done or waited for."""
        if time.perf_counter() >= self._ends:
            await (asyncio.sleep(0) if _shared.get() else self._turns.next())
            self._ends = time.perf_counter() + self._turns.seconds


TURNS = Turns()
"""Of all requests."""
