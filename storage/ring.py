"""A bounded history of changes that any number of readers follow, each with a cursor of its own.

Nothing is queued per reader: a reader that falls behind by more than the capacity gets Compacted. For one event loop; an
entry becomes readable with the `advance` after its `append`, which must follow without an await between them.

Entries have weights, in bytes. Rings share a Budget, and the heaviest of them drops its oldest entries when that is exceeded.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import Any, Generic, TypeVar, cast

from storage.base import Compacted, FutureRevision, Unavailable

__all__ = ["Budget", "Ring", "Subscription"]

E = TypeVar("E")


class Budget:
    """Bytes that the entries of some rings may have together."""

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError("a history needs room for at least one byte")
        self.most, self.used = most, 0
        self._rings: list[Ring[Any]] = []

    def join(self, ring: Ring[Any]) -> None:
        """Count this ring's entries as well."""
        self._rings.append(ring)

    def keep(self) -> None:
        """Let the heaviest rings drop what is beyond the budget."""
        while self.used > self.most and max(self._rings, key=_weight).drop():
            pass


def _weight(ring: Ring[Any]) -> int:
    return ring.weight


class Ring(Generic[E]):
    """The last `capacity` entries, or fewer where `budget` does not allow so many, but always the last one. `revision`: everything up to
    it is, or was, in here. `floor`: the oldest revision that one may subscribe after. `weight`: that of all entries."""

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
        self._base = 0  # position of _entries[0]; positions count all entries ever appended
        self._start = 0  # index of the oldest entry that may still be read
        self._unread = False
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def end(self) -> int:
        """The position behind the last entry."""
        return self._base + len(self._entries)

    def append(self, revision: int, entry: E, weight: int = 0) -> None:
        """Add an entry; revisions never decrease."""
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
        """Drop the oldest entry. False: there is but one, which stays."""
        if len(self._entries) - self._start < 2:
            return False
        index = self._start
        self.floor = max(self.floor, self._revisions[index])
        self._entries[index] = None
        self._start += 1
        weight = self._weights[index]
        if self._start > self.capacity:  # now and then, so that dropping costs O(1) an entry
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
        """Everything up to `revision` has been appended. Wakes readers if there is anything for them."""
        self.revision = max(self.revision, revision)
        if self._unread:
            self._unread = False
            self._wake()

    def raise_floor(self, revision: int) -> None:
        """Let nobody subscribe after an older revision. Those who did go on."""
        self.floor = max(self.floor, revision)

    def reset(self, revision: int) -> None:
        """Forget all entries and go on from `revision`; every present reader gets Compacted."""
        self._base = self.end + 1  # one position nobody can have: even a reader that had everything is behind now
        self._entries, self._revisions, self._weights, self._start = [], [], [], 0
        self._weigh(-self.weight)
        self.revision = self.floor = revision
        self._wake()

    def close(self, reason: str) -> None:
        """End it: readers get Unavailable(reason) once they have read what is there."""
        self.ended = reason
        self._wake()

    def subscribe(self, after: int) -> Subscription[E]:
        """Follow the entries behind revision `after`. Raises Compacted, FutureRevision."""
        if after < self.floor:
            raise Compacted(after, self.floor)
        if after > self.revision:
            raise FutureRevision(after, self.revision)
        position = self._base + bisect_right(self._revisions, after, lo=self._start)
        return Subscription(self, position, after)

    def read(self, position: int, count: int = 0, weight: int = 0) -> list[E] | None:
        """The entries from `position` on; None when some of them are gone. `count`, `weight`: at most so many, of so many bytes, but at
        least one; 0: all."""
        index = position - self._base
        if index < self._start:
            return None
        end = min(index + count, len(self._entries)) if count else len(self._entries)
        if weight:
            end = self._light(index, end, weight)
        return cast("list[E]", self._entries[index:end])

    def _light(self, index: int, end: int, weight: int) -> int:
        """The index behind the first entries that have so many bytes."""
        for number in range(index, end):
            weight -= self._weights[number]
            if weight < 0:
                return max(number, index + 1)
        return end

    def before(self, position: int) -> int:
        """A reader at this position has everything up to this revision; 0 when it was overtaken."""
        index = position - self._base
        if index < self._start:
            return 0
        return self.revision if index == len(self._revisions) else self._revisions[index] - 1

    async def wait(self, timeout: float | None) -> None:
        """Return at the next change of anything a reader could see, or after `timeout` seconds."""
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
    """One reader's place in a Ring. It holds nothing but the place; to end a pending `next`, cancel it."""

    __slots__ = ("_position", "_revision", "_ring")

    def __init__(self, ring: Ring[E], position: int, revision: int) -> None:
        self._ring: Ring[E] | None = ring
        self._position, self._revision = position, revision

    @property
    def revision(self) -> int:
        """Everything up to this revision has been handed out (it advances also when there was nothing to hand out)."""
        return self._revision if self._ring is None else max(self._revision, self._ring.before(self._position))

    @property
    def complete(self) -> bool:
        """Whether everything that there is has been handed out."""
        return self._ring is None or self._position == self._ring.end

    def take(self, count: int = 0, weight: int = 0) -> list[E]:
        """The entries waiting, in order; maybe none. Raises Compacted when overtaken, Unavailable when it has ended. `count`, `weight`: as
        Ring.read; what is not taken stays in the history alone."""
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
        """As `take`, but waits up to `timeout` seconds (None: for ever) for the first entry; empty when none came."""
        entries = self.take()
        if entries or timeout == 0:
            return entries
        ring = self._ring
        if ring is not None:
            await ring.wait(timeout)
        return self.take()

    def close(self) -> None:
        """Let go of the history; `next` raises Unavailable from now on."""
        self._revision, self._ring = self.revision, None


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
