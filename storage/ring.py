"""Keep a bounded history of changes that any number of readers follow, each with its own cursor.

Nothing is queued per reader: a reader that falls behind by more than the capacity gets Compacted.
Use a ring on one event loop. An entry becomes readable with the `advance` after its `append`, and
there must be no await between the two.

Entries have weights in bytes. Rings share a Budget: when it is exceeded, the heaviest ring drops
its oldest entries.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import Any, Generic, TypeVar, cast

from storage.base import Compacted, FutureRevision, Unavailable

E = TypeVar("E")


class Budget:
    """The number of bytes that the entries of several rings may have together."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError("a history needs room for at least one byte")
        self.most, self.used = most, 0
        self._rings: list[Ring[Any]] = []

    def join(self, ring: Ring[Any]) -> None:
        """Count the entries of this ring too."""
        self._rings.append(ring)

    def keep(self) -> None:
        """Make the heaviest rings drop entries until the budget is met."""
        while self.used > self.most and max(self._rings, key=_weight).drop():
            pass


def _weight(ring: Ring[Any]) -> int:
    return ring.weight


class Ring(Generic[E]):
    """The last `capacity` entries, or fewer if `budget` is exceeded, but always the last one.

    `revision`: everything up to it has been in the ring. `floor`: the oldest revision after which a
    subscription can start. `weight`: the weight of all entries together."""

    def __init__(self, capacity: int, revision: int = 0, *, budget: Budget | None = None) -> None:
        if capacity < 1:
            raise ValueError("a history needs room for at least one change")
        self.capacity, self.revision, self.floor = capacity, revision, revision
        self.weight = 0
        self.ended: str | None = None
        self._budget = budget
        if budget is not None:
            budget.join(self)
        self._entries: list[E | None] = []  # None: dropped
        self._revisions: list[int] = []
        self._weights: list[int] = []
        self._base = 0  # the position of _entries[0]; positions count all entries ever appended
        self._start = 0  # the index of the oldest entry that can still be read
        self._unread = False
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def end(self) -> int:
        """Return the position after the last entry."""
        return self._base + len(self._entries)

    def append(self, revision: int, entry: E, weight: int = 0) -> None:
        """Add an entry. Revisions never decrease."""
        self._entries.append(entry)
        self._revisions.append(revision)
        self._weights.append(weight)
        self._unread = True
        if len(self._entries) - self._start > self.capacity:
            self.drop()
        self._weigh(weight)
        if self._budget is not None:
            self._budget.keep()

    def drop(self) -> bool:
        """Drop the oldest entry. Return False if there is only one, which stays."""
        if len(self._entries) - self._start < 2:
            return False
        index = self._start
        self.floor = max(self.floor, self._revisions[index])
        self._entries[index] = None
        self._start += 1
        weight = self._weights[index]
        # delete in large steps, so that dropping costs O(1) per entry
        if self._start > self.capacity:
            del self._entries[: self._start], self._revisions[: self._start], self._weights[: self._start]
            self._base += self._start
            self._start = 0
        self._weigh(-weight)
        return True

    def _weigh(self, weight: int) -> None:
        self.weight += weight
        if self._budget is not None:
            self._budget.used += weight

    def advance(self, revision: int) -> None:
        """Declare that everything up to `revision` was appended, and wake readers if there are
        entries."""
        self.revision = max(self.revision, revision)
        if self._unread:
            self._unread = False
            self._wake()

    def reset(self, revision: int) -> None:
        """Drop all entries and continue from `revision`. Every present reader gets Compacted."""
        # skip one position, so that even a reader that had read everything is behind now
        self._base = self.end + 1
        self._entries, self._revisions, self._weights, self._start = [], [], [], 0
        self._weigh(-self.weight)
        self.revision = self.floor = revision
        self._wake()

    def close(self, reason: str) -> None:
        """Close the ring. Readers get Unavailable(reason) after they have read the remaining
        entries."""
        self.ended = reason
        self._wake()

    def subscribe(self, after: int) -> Subscription[E]:
        """Follow the entries after revision `after`. Raises Compacted or FutureRevision."""
        if after < self.floor:
            raise Compacted(after, self.floor)
        if after > self.revision:
            raise FutureRevision(after, self.revision)
        position = self._base + bisect_right(self._revisions, after, lo=self._start)
        return Subscription(self, position, after)

    def read(self, position: int, count: int = 0, weight: int = 0) -> list[E] | None:
        """Return the entries from `position` on, or None if some of them were dropped.

        `count` and `weight` limit the number of entries and their bytes (0: no limit). At least one
        entry is returned."""
        index = position - self._base
        if index < self._start:
            return None
        end = min(index + count, len(self._entries)) if count else len(self._entries)
        if weight:
            end = self._light(index, end, weight)
        return cast("list[E]", self._entries[index:end])

    def _light(self, index: int, end: int, weight: int) -> int:
        """Return the index after the first entries that together have at most `weight` bytes."""
        for number in range(index, end):
            weight -= self._weights[number]
            if weight < 0:
                return max(number, index + 1)
        return end

    def before(self, position: int) -> int:
        """Return the revision up to which a reader at this position has everything, or 0 if
        overtaken."""
        index = position - self._base
        if index < self._start:
            return 0
        return self.revision if index == len(self._revisions) else self._revisions[index] - 1

    async def wait(self, timeout: float | None) -> None:
        """Wait for the next change that a reader could see, at most `timeout` seconds."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiters.add(waiter)
        timer = None if timeout is None else loop.call_later(timeout, _resolve, waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            _resolve(waiter)


class Subscription(Generic[E]):
    """The position of one reader in a Ring.

    It holds nothing but the position. To end a pending `next`, cancel it."""

    __slots__ = ("_position", "_revision", "_ring")

    def __init__(self, ring: Ring[E], position: int, revision: int) -> None:
        self._ring: Ring[E] | None = ring
        self._position, self._revision = position, revision

    @property
    def revision(self) -> int:
        """Return the revision up to which everything has been returned. It also advances while
        nothing is due."""
        return self._revision if self._ring is None else max(self._revision, self._ring.before(self._position))

    @property
    def complete(self) -> bool:
        """Return whether all present entries have been returned."""
        return self._ring is None or self._position == self._ring.end

    def take(self, count: int = 0, weight: int = 0) -> list[E]:
        """Return the waiting entries in order, possibly none.

        `count` and `weight` limit them as in Ring.read; the rest stays in the history only. Raises
        Compacted if the reader was overtaken, and Unavailable if the ring is closed."""
        ring = self._ring
        if ring is None:
            raise Unavailable("the subscription was closed")
        entries = ring.read(self._position, count, weight)
        if entries is None:
            raise Compacted(self._revision, ring.floor)
        if not entries and ring.ended is not None:
            raise Unavailable(ring.ended)
        self._position += len(entries)
        self._revision = max(self._revision, ring.before(self._position))
        return entries

    async def next(self, timeout: float | None = None) -> list[E]:
        """Return the waiting entries; wait up to `timeout` seconds (None: no limit) for the first
        one.

        Returns an empty list if none arrived. Raises the errors of `take`."""
        entries = self.take()
        if entries or timeout == 0:
            return entries
        ring = self._ring
        if ring is not None:
            await ring.wait(timeout)
        return self.take()

    def close(self) -> None:
        """Release the history. From now on `next` raises Unavailable."""
        self._revision, self._ring = self.revision, None


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
