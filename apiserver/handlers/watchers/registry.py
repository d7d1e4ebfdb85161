"""The watches that are running, so that a shutdown can end them cleanly instead of cutting them."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from apiserver.handlers.watchers.unread import Unread

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Watches"]


class Watches:
    """The tasks that serve watches. `unread`: what their clients have not read."""

    def __init__(self) -> None:
        self.stopping = False
        self.unread = Unread()
        self._tasks: set[asyncio.Task[object]] = set()
        self._none = asyncio.Event()
        self._none.set()

    def __len__(self) -> int:
        return len(self._tasks)

    def stop(self) -> None:
        """Let every watch finish what it writes and end its response; none begins any more."""
        self.stopping = True
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Return when no watch is running."""
        await self._none.wait()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Around a watch in the present task. The cancellation by `stop` ends here; any other passes."""
        task = asyncio.current_task()
        assert task is not None, "a watch is served by a task"
        self._tasks.add(task)
        self._none.clear()
        try:
            yield
        except asyncio.CancelledError:
            # A client that goes away at the same moment cancels too: then something is left to be cancelled, and it passes.
            if not self.stopping or task.uncancel() > 0:
                raise
        finally:
            self._tasks.discard(task)
            if not self._tasks:
                self._none.set()
