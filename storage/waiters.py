"""Let callers wait until a revision is reached."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class Waiters:
    """Callers that wait for revisions, on one event loop.

    A wait costs one entry in a heap. Reaching a revision costs only the waits for it."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()  # futures do not compare

    async def wait(self, revision: int, timeout: float | None) -> None:
        """Wait until `revision` is reached.

        Raises TimeoutError after `timeout` seconds, or the error given to `fail`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._heap, (revision, next(self._order), waiter))
        async with asyncio.timeout(timeout):
            await waiter

    def reached(self, revision: int) -> None:
        """Wake the callers that wait for this revision or an earlier one."""
        while self._heap and self._heap[0][0] <= revision:
            waiter = heapq.heappop(self._heap)[2]
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, error: Exception) -> None:
        """Raise `error` in all waiting callers."""
        waiting, self._heap = self._heap, []
        for _, _, waiter in waiting:
            if not waiter.done():
                waiter.set_exception(error)
