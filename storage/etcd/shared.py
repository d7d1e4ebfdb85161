"""Singleflight with freshness: callers share the next request, never one that is already in flight."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Shared"]

T = TypeVar("T")

_PATIENCE = 0.02  # seconds to wait for the one before: it may be one that never gets an answer


class Shared(Generic[T]):
    """Calls `ask`, for as many callers at once as possible, so that each answer is as fresh as the caller's own would be."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._running: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """What `ask` returns or raises when begun after this call began."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._running))
            self._next.add_done_callback(_retrieve)
        return await asyncio.shield(self._next)  # one caller's end is not the others'

    async def _after(self, previous: asyncio.Task[T] | None) -> T:
        if previous is not None and not previous.done():
            await asyncio.wait([previous], timeout=_PATIENCE)
        self._running, self._next = self._next, None
        return await self._ask()


def _retrieve(task: asyncio.Task[T]) -> None:
    """All callers may be gone when it fails: then nobody minds."""
    if not task.cancelled():
        task.exception()
