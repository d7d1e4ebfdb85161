"""One prefix of the watch cache: decoded items in key order, indexes, and the history that watches follow.

Items are decoded once per write and shared by all readers, who must not change them. For one event loop; reads are
synchronous and never copy more than a list of references.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

from storage.contents import Contents
from storage.ring import Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from storage.ring import Budget, Subscription

__all__ = ["Change", "Collection"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


def _nothing(item: object) -> int:
    return 0


class Change(NamedTuple, Generic[T]):
    """What happened to one key. "put": `item` is the new state, `previous` the one before (None: created).
    "delete": `item` is the last state decoded with the deletion's revision, `previous` the last state itself.

    `revision` grows from change to change, or stays the same within a commit."""

    type: Literal["put", "delete"]
    item: T
    previous: T | None
    revision: int


class Collection(Generic[T]):
    """The keys that begin with `prefix`. Made by WatchCache.collection, filled by the cache only."""

    def __init__(
        self,
        prefix: str,
        decode: Callable[[str, bytes, int], T],
        indexers: Mapping[str, Callable[[T], Iterable[Hashable]]] | None = None,
        *,
        history: int = 10_000,
        budget: Budget | None = None,
        weigh: Callable[[T], int] | None = None,
    ) -> None:
        self.prefix = prefix
        self._decode, self._indexers, self._weigh = decode, indexers or {}, weigh or _nothing
        self._contents: Contents[T] = Contents(self._indexers)
        self._coming: Contents[T] = self._contents
        self._ring: Ring[Change[T]] = Ring(history, budget=budget)

    def __len__(self) -> int:
        return len(self._contents)

    @property
    def revision(self) -> int:
        """Every change up to this revision has been applied."""
        return self._ring.revision

    @property
    def floor(self) -> int:
        """The oldest revision one may subscribe after."""
        return self._ring.floor

    def get(self, key: str) -> T | None:
        """The item at the (whole) key."""
        return self._contents.get(key)

    def range(self, prefix: str = "", *, start: str = "", limit: int = 0) -> list[T]:
        """The items whose whole keys begin with `prefix`, in key order, from the key `start` (inclusive) on; `limit` 0: all."""
        return self._contents.range(prefix, start, limit)

    def index(self, name: str, value: Hashable, prefix: str = "", *, start: str = "") -> list[T]:
        """The items for which the indexer `name` yields `value`, in key order, as `range` cuts it. KeyError when there is no such
        indexer."""
        return self._contents.index(name, value, prefix, start)

    def count(self, name: str, value: Hashable) -> int:
        """How many items `index` finds in the whole collection."""
        return self._contents.count(name, value)

    def subscribe(self, after: int) -> Subscription[Change[T]]:
        """Follow the changes after a revision, usually `revision` in the same breath as a `range`. Raises Compacted,
        FutureRevision; a subscriber who falls behind by more than the history gets Compacted from `next`."""
        return self._ring.subscribe(after)

    # What follows is for the cache alone.

    def clear(self) -> None:
        """Begin to load another state. Readers have the present one until `reset`."""
        self._coming = Contents(self._indexers)

    def load(self, key: str, value: bytes, revision: int) -> None:
        """Put an item into the state that is being loaded. Raises what decode raises."""
        self._coming.put(key, self._decode(key, value, revision))

    def reset(self, revision: int) -> None:
        """What was loaded is the state now, as of `revision`. There is no history before: every subscriber gets Compacted."""
        self._contents = self._coming
        self._ring.reset(revision)

    def put(self, key: str, value: bytes, revision: int, before: int = 0) -> bool:
        """Apply a put over a value of so many bytes. False: it cannot be decoded; that is logged, and the last known state stays."""
        try:
            item = self._decode(key, value, revision)
            previous = self._contents.put(key, item)
        except Exception:
            _log.exception("%s at revision %d cannot be decoded: its last known state is served; write it anew to repair it", key, revision)
            return False
        self._append(Change("put", item, previous, revision), len(value) + before)
        return True

    def delete(self, key: str, value: bytes, revision: int) -> None:
        """Apply a deletion; `value` is the last one."""
        previous = self._contents.discard(key)
        if previous is None:  # it never could be decoded
            return
        try:
            item = self._decode(key, value, revision)
        except Exception:
            _log.exception("%s, deleted at %d, cannot be decoded: watchers get its last known state", key, revision)
            item = previous
        self._append(Change("delete", item, previous, revision), 2 * len(value))

    def _append(self, change: Change[T], size: int) -> None:
        """Both states count: that before may be in no other change any more."""
        item, previous = change.item, change.previous
        weight = size + self._weigh(item) + (0 if previous is None else self._weigh(previous))
        self._ring.append(change.revision, change, weight)

    def advance(self, revision: int) -> None:
        """Everything up to the revision is applied: show it to subscribers."""
        self._ring.advance(revision)

    def close(self, reason: str) -> None:
        """End all subscriptions with Unavailable."""
        self._ring.close(reason)
