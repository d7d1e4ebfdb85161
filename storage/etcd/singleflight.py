"""Share requests among callers (singleflight) without returning stale answers.

Callers share the next request, never one that is already in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_PATIENCE = 0.02  # seconds to wait for the previous request, which may never get an answer


class Singleflight(Generic[T]):
    """Calls `ask` once for as many callers as possible.

    Each caller gets an answer as fresh as that to a request of its own."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return or raise the outcome of a call of `ask` that began after this call began."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._running))
            self._next.add_done_callback(_retrieve)
        return await asyncio.shield(self._next)  # cancelling one caller must not cancel the others

    async def _after(self, previous: asyncio.Task[T] | None) -> T:
        if previous is not None and not previous.done():
            await asyncio.wait([previous], timeout=_PATIENCE)
        self._running, self._next = self._next, None
        return await self._ask()


def _retrieve(task: asyncio.Task[T]) -> None:
    """Mark the exception as retrieved: all callers may be gone when the task fails."""
    if not task.cancelled():
        task.exception()
