"""Limit the simultaneous requests to another server, in total and per client."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from apiserver.apis.status import too_many_requests

TRY_AGAIN = "Too many requests, please try again later."


class Gate:
    """Admits `total` requests at once.

    A client with `share` requests inside or before the gate is refused, so it never fills the gate
    for others."""

    def __init__(self, total: int, share: int) -> None:
        self._share, self._slots = share, asyncio.Semaphore(total)
        self._pending: Counter[Hashable] = Counter()

    @asynccontextmanager
    async def enter(self, client: Hashable) -> AsyncIterator[None]:
        """Wait for a place, and keep it during the block. Raises ApiError (429)."""
        if self._pending[client] >= self._share:
            raise too_many_requests(TRY_AGAIN)
        self._pending[client] += 1
        try:
            async with self._slots:
                yield
        finally:
            self._leave(client)

    def _leave(self, client: Hashable) -> None:
        self._pending[client] -= 1
        if not self._pending[client]:
            del self._pending[client]


class Allowance:
    """The number of failures that each client may cause: `burst` at once, then `rate` per second.

    The last `size` clients are remembered."""

    def __init__(self, burst: int, rate: float, size: int = 4096, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._rate, self._size, self._clock = burst, rate, size, clock
        self._used: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def check(self, client: Hashable) -> None:
        """Raise ApiError (429) if the client has used up its allowance."""
        if self._level(client) > self._burst - 1:
            raise too_many_requests(TRY_AGAIN, retry_after=max(1, round(1 / self._rate)))

    def use(self, client: Hashable) -> None:
        """Count one failure."""
        self._used[client] = (self._level(client) + 1, self._clock())
        self._used.move_to_end(client)
        if len(self._used) > self._size:
            self._used.popitem(last=False)

    def _level(self, client: Hashable) -> float:
        used, since = self._used.get(client, (0.0, 0.0))
        return max(0.0, used - (self._clock() - since) * self._rate) if used else 0.0
