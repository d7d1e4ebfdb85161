"""A bounded history of changes that any number of readers follow, each with a cursor of its own.

Nothing is queued per reader: a reader that falls behind by more than the capacity gets Compacted. For one event loop; an
entry becomes readable with the `advance` after its `append`, which must follow without an await between them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import Generic, TypeVar

from storage.base import Compacted, FutureRevision, Unavailable

__all__ = ["Ring", "Subscription"]

E = TypeVar("E")


class Ring(Generic[E]):
    """The last `capacity` entries. `revision`: everything up to it is, or was, in here. `floor`: the oldest revision that
    one may subscribe after."""

    def __init__(self, capacity: int, revision: int = 0) -> None:
        if capacity < 1:
            raise ValueError("a history needs room for at least one change")
        self.capacity, self.revision, self.floor = capacity, revision, revision
        self.ended: str | None = None
        self._entries: list[E] = []
        self._revisions: list[int] = []
        self._base = 0  # position of _entries[0]; positions count all entries ever appended
        self._start = 0  # index of the oldest entry that may still be read
        self._unread = False
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def end(self) -> int:
        """The position behind the last entry."""
        return self._base + len(self._entries)

    def append(self, revision: int, entry: E) -> None:
        """Add an entry; revisions never decrease."""
        self._entries.append(entry)
        self._revisions.append(revision)
        self._unread = True
        if len(self._entries) - self._start > self.capacity:
            self.floor = max(self.floor, self._revisions[self._start])
            self._start += 1
            if self._start > self.capacity:  # now and then, so that dropping costs O(1) an entry
                del self._entries[: self._start], self._revisions[: self._start]
                self._base += self._start
                self._start = 0

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
        self._entries, self._revisions, self._start = [], [], 0
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

    def read(self, position: int) -> list[E] | None:
        """The entries from `position` on; None when some of them are gone."""
        index = position - self._base
        return self._entries[index:] if index >= self._start else None

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

    def take(self) -> list[E]:
        """All entries waiting, in order; maybe none. Raises Compacted when overtaken, Unavailable when it has ended."""
        ring = self._ring
        if ring is None:
            raise Unavailable("the subscription was closed")
        entries = ring.read(self._position)
        if entries is None:
            raise Compacted(self._revision, ring.floor)
        if not entries and ring.ended is not None:
            raise Unavailable(ring.ended)
        self._position, self._revision = ring.end, ring.revision
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
