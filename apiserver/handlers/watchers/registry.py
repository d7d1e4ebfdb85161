"""Track the running watches, so that a shutdown ends them cleanly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from apiserver.handlers.request.call import RequestInfo
from apiserver.handlers.timings import Timings
from apiserver.handlers.watchers.unreadbytes import UnreadBytes


class Watches:
    """The tasks that serve watches. `unread` counts the bytes that their clients have not read."""

    def __init__(self, timings: Timings | None = None) -> None:
        self.timings = timings or Timings()
        self.stopping = False
        self.unread = UnreadBytes()
        self._tasks: set[asyncio.Task[object]] = set()
        self.by_request: Counter[tuple[str, str, str, str]] = Counter()
        """The running watches by group, version, resource and scope."""
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._tasks)

    def stop(self) -> None:
        """Let every watch finish its write and end its response. New ones end at once."""
        self.stopping = True
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Wait until no watch is running."""
        await self._none.wait()

    @contextmanager
    def running(self, info: RequestInfo | None = None) -> Iterator[None]:
        """Track a watch in the current task. `info` is None for a kind that another server serves.

        The cancellation by `stop` ends here. Any other one propagates."""
        task = asyncio.current_task()
        assert task is not None, "a watch is served by a task"
        key = (info.group, info.version, info.resource, info.scope) if info is not None else ("", "", "", "")
        self._tasks.add(task)
        self.by_request[key] += 1
        self._none.clear()
        try:
            yield
        except asyncio.CancelledError:
            # A client that disconnects at the same moment cancels the task too. Then a cancellation
            # remains, and propagates.
            if not self.stopping or task.uncancel() > 0:
                raise
        finally:
            self._tasks.discard(task)
            self.by_request[key] -= 1
            if not self.by_request[key]:
                del self.by_request[key]
            if not self._tasks:
                self._none.set()
