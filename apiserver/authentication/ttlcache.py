"""Cache answers of another server for a limited time, in bounded memory.

An answer is requested once at a time, however many requests wait for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from apiserver.apis.bounded import Bounded, footprint

V = TypeVar("V")

SIZE = 8 * 1024 * 1024


class ExpiringCache(Generic[V]):
    """A cache for answers and their keys of up to `size` bytes.

    `lifetime(answer)` is the number of seconds for which an answer is valid. Failures are not
    cached: the next request asks again. Answers for which `apart(answer)` is true have `size` bytes
    of their own, and never evict the others.

    A request continues when a waiting caller is cancelled, since others may wait for it. So it
    needs its own deadline."""

    def __init__(
        self,
        lifetime: Callable[[V], float],
        size: int = SIZE,
        clock: Callable[[], float] = time.monotonic,
        apart: Callable[[V], bool] = lambda _: False,
    ) -> None:
        self._lifetime, self._clock, self._apart = lifetime, clock, apart
        self._kept: Bounded[Hashable, tuple[float, V]] = Bounded(size)
        self._kept_apart: Bounded[Hashable, tuple[float, V]] = Bounded(size)
        self._running: dict[Hashable, asyncio.Task[V]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[V]]) -> V:
        """Return the cached answer for `key`, or call `ask`. Raises the errors of `ask`."""
        kept = self._kept.get(key) or self._kept_apart.get(key)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._fetch(key, ask))
            task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def _fetch(self, key: Hashable, ask: Callable[[], Awaitable[V]]) -> V:
        try:
            answer = await ask()
        finally:
            del self._running[key]
        self._keep(key, answer)
        return answer

    def _keep(self, key: Hashable, answer: V) -> None:
        self._kept.pop(key)
        self._kept_apart.pop(key)
        kept = self._kept_apart if self._apart(answer) else self._kept
        kept.put(key, (self._clock() + self._lifetime(answer), answer), footprint((key, answer)))

    async def close(self) -> None:
        """Cancel the running requests."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _retrieve(task: asyncio.Task[V]) -> None:
    # All waiting callers may be gone; asyncio would log a failure that was not retrieved.
    if not task.cancelled():
        task.exception()
