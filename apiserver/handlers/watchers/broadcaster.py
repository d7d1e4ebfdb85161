"""Deliver the changes of one collection to all of its watches in rounds, one write to each watch.

A round begins with the first change after a pause. The pause before the next round grows with the
work of a round, so that many watches of many changes get them in fewer pieces. A watch without room
in its buffer is skipped, and catches up in its own task.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from apiserver.registry.generic.entry import Entry
from storage.base import Compacted, Unavailable
from storage.collection import Change, Collection
from storage.ring import Subscription

log = logging.getLogger(__name__)

SHORTEST, LONGEST = 0.015, 0.06
"""The shortest and the longest time between two rounds, in seconds."""
REST = 3.0
"""The ratio of the pause to the preceding round. It leaves most of the time to other work."""
AT_ONCE, TURN = 64, 0.001
"""The number of watches, and the seconds of CPU time, after which other requests get their turn.

The time is needed because changes may be large."""


class Follower(Protocol):
    """A watch that is up to date."""

    def deliver(self) -> bool:
        """Write new events without waiting.

        Returns False if the watch has ended or has no room. It then no longer follows the
        Broadcaster."""

    def pay(self, seconds: float) -> None:
        """Charge the watch's user for the CPU time that `deliver` took."""


class Broadcaster:
    """The followers of one collection. Its task runs only while there are any.

    `shortest` and `longest` are the seconds between two rounds, even if rounds take too long."""

    def __init__(self, collection: Collection[Entry], *, shortest: float = SHORTEST, longest: float = LONGEST) -> None:
        self._collection, self._shortest, self._longest = collection, shortest, longest
        self._followers: dict[Follower, None] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._followers)

    def join(self, follower: Follower) -> None:
        """Deliver to a follower that has everything up to the collection's present revision."""
        self._followers[follower] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run(self._collection.subscribe(self._collection.revision)), name="broadcaster")

    def leave(self, follower: Follower) -> None:
        """Stop delivering to a follower. Calling this again has no effect."""
        self._followers.pop(follower, None)
        if not self._followers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, news: Subscription[Change[Entry]]) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            try:
                await news.next()
            except Compacted:  # each follower notices this by its own position in the history
                news = self._collection.subscribe(self._collection.revision)
            except Unavailable:
                await self._round()
                return
            started = clock()
            await self._round()
            await asyncio.sleep(min(max(self._shortest, REST * (clock() - started)), self._longest))

    async def _round(self) -> None:
        began = now = time.thread_time()
        for number, follower in enumerate(list(self._followers), 1):
            if follower in self._followers:
                if not follower.deliver():
                    self.leave(follower)
                before, now = now, time.thread_time()
                follower.pay(now - before)
            if number % AT_ONCE == 0 or now - began > TURN:
                await asyncio.sleep(0)
                began = now = time.thread_time()
