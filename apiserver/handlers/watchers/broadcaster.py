"""Hands the changes of one collection to all of its watches, in rounds: one write to each watch a round, whatever has come since.

A round begins with the first change after a pause. Until the next there is a pause, longer the more work a round is, so that many
watches of many changes get them in fewer pieces. A watch that has no room is passed over; it catches up in its own task.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from storage.base import Compacted, Unavailable

if TYPE_CHECKING:
    from apiserver.registry.generic.entry import Entry
    from storage.cache import Change, Collection, Subscription

__all__ = ["Fanout", "Follower"]

log = logging.getLogger(__name__)

COALESCE = 0.015
"""Seconds between two rounds, at least."""
LONGEST = 0.06
"""And at most, though rounds take longer than they should."""
REST = 3.0
"""How much longer than a round the pause behind it is: delivering leaves most of the time to others."""
AT_ONCE, TURN = 64, 0.002
"""Watches that are served before others have their turn, and seconds after which others have it anyway: changes may be large."""


class Follower(Protocol):
    """A watch that is up to date."""

    def deliver(self) -> bool:
        """Write what is new, without waiting. False: not from here any more, as it has ended or has no room; it has left by itself."""


class Fanout:
    """The followers of one collection. It works only as long as there are any."""

    def __init__(self, collection: Collection[Entry]) -> None:
        self._collection = collection
        self._followers: dict[Follower, None] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._followers)

    def join(self, follower: Follower) -> None:
        """Deliver to it from now on. It has everything up to the collection's present revision."""
        self._followers[follower] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run(self._collection.subscribe(self._collection.revision)), name="fanout")

    def leave(self, follower: Follower) -> None:
        """Deliver to it no longer. Idempotent."""
        self._followers.pop(follower, None)
        if not self._followers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, news: Subscription[Change[Entry]]) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            try:
                await news.next()
            except Compacted:  # they are told each by its own place in the history
                news = self._collection.subscribe(self._collection.revision)
            except Unavailable:
                await self._round()
                return
            started = clock()
            await self._round()
            await asyncio.sleep(min(max(COALESCE, REST * (clock() - started)), LONGEST))

    async def _round(self) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        for number, follower in enumerate(list(self._followers), 1):
            if follower in self._followers and not follower.deliver():
                self.leave(follower)
            if number % AT_ONCE == 0 or clock() - began > TURN:
                await asyncio.sleep(0)
                began = clock()
