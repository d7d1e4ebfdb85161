"""Answers of another server, kept for a while: bounded, each asked for once at a time however many requests wait for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

__all__ = ["ExpiringCache"]

V = TypeVar("V")


class ExpiringCache(Generic[V]):
    """Up to `size` answers. `lifetime(answer)`: for how many seconds one may be used. Failures are not kept: the next request asks again.
    `apart(answer)`: answers of which it holds have `size` places of their own, and so never push out the others.

    The question goes on when a caller that waits is cancelled, since others may wait for it, so it needs a deadline of its own."""

    def __init__(
        self,
        lifetime: Callable[[V], float],
        size: int = 4096,
        clock: Callable[[], float] = time.monotonic,
        apart: Callable[[V], bool] = lambda _: False,
    ) -> None:
        self._lifetime, self._size, self._clock, self._apart = lifetime, size, clock, apart
        self._kept: dict[Hashable, tuple[float, V]] = {}
        self._kept_apart: dict[Hashable, tuple[float, V]] = {}
        self._asked: dict[Hashable, asyncio.Task[V]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[V]]) -> V:
        """The answer kept for `key`, else what `ask` returns. Raises what `ask` raises."""
        kept = self._kept.get(key) or self._kept_apart.get(key)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._ask(key, ask))
            task.add_done_callback(_retrieve)
        return await asyncio.shield(task)

    async def _ask(self, key: Hashable, ask: Callable[[], Awaitable[V]]) -> V:
        try:
            answer = await ask()
        finally:
            del self._asked[key]
        self._keep(key, answer)
        return answer

    def _keep(self, key: Hashable, answer: V) -> None:
        self._kept.pop(key, None)
        self._kept_apart.pop(key, None)
        kept = self._kept_apart if self._apart(answer) else self._kept
        if len(kept) >= self._size:
            kept.pop(next(iter(kept)))
        kept[key] = (self._clock() + self._lifetime(answer), answer)

    async def close(self) -> None:
        """Ends the questions under way."""
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _retrieve(task: asyncio.Task[V]) -> None:
    # All who waited may be gone; asyncio would complain about a failure that nobody saw.
    if not task.cancelled():
        task.exception()
