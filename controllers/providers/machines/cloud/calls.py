"""Call a blocking library in the threads of a pool that belongs to one class.

Each thread has its own connection. A call that was sent is awaited even if its caller is cancelled:
its effect cannot be undone, and the next read must see it. Writes check the leader's fence
immediately before the call.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from apiserver.client import fence

AT_ONCE = 4
"""The number of concurrent requests to the cloud of one class. A request that hangs does not delay
other classes."""

Library = TypeVar("Library")
T = TypeVar("T")


class Calls(Generic[Library]):
    """Runs the calls of one class.

    `make` creates the connection of a thread. `timeout`: the seconds that one request may take.
    Calls raise what the library raises."""

    def __init__(self, name: str, make: Callable[[], Library], timeout: float) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"cloud-{name}")
        self._make, self._timeout, self._local = make, timeout, threading.local()

    async def read(self, work: Callable[[Library], T]) -> T:
        """Return the result of a call that changes nothing."""
        return await self._run(work, write=False)

    async def write(self, work: Callable[[Library], T]) -> T:
        """Return the result of a call that changes something."""
        return await self._run(work, write=True)

    def close(self) -> None:
        """Accept no further calls. Calls in progress end by themselves after their timeout."""
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
