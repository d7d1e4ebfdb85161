"""Calls of a library that blocks: each runs in a thread of the class's own pool, with a connection of that thread's own.

A call that was sent is waited for even when whoever asked is cancelled: what it does cannot be taken back, and the next look has to
see it. Writes look at the leader's fence at the last moment.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from apiserver.client import fence

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Calls"]

AT_ONCE = 4
"""Requests to one class's cloud at a time: one that hangs holds no other class up."""

Library = TypeVar("Library")
T = TypeVar("T")


class Calls(Generic[Library]):
    """`make` connects a thread. `timeout`: of one request, in seconds. Calls raise what the library raises."""

    def __init__(self, name: str, make: Callable[[], Library], timeout: float) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"cloud-{name}")
        self._make, self._timeout, self._local = make, timeout, threading.local()

    async def read(self, work: Callable[[Library], T]) -> T:
        """The result of a call that changes nothing."""
        return await self._run(work, write=False)

    async def write(self, work: Callable[[Library], T]) -> T:
        """The result of a call that changes something."""
        return await self._run(work, write=True)

    def close(self) -> None:
        """Takes no more calls; those under way end by themselves in time."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[Library], T], *, write: bool) -> T:
        def run() -> T:
            library: Any = getattr(self._local, "connected", None)
            if library is None:
                library = self._local.connected = self._make()
            if write:
                fence.check()
            return work(library)

        context = contextvars.copy_context()
        under_way = asyncio.get_running_loop().run_in_executor(self._pool, context.run, run)
        try:
            return await asyncio.shield(under_way)
        except asyncio.CancelledError:
            await asyncio.wait([under_way], timeout=2 * self._timeout)
            raise
