"""One prefix of the watch cache: decoded items in key order, indexes, and the history that watches follow.

Items are decoded once per write and shared by all readers, who must not change them. For one event loop; reads are
synchronous and never copy more than a list of references.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from storage.ring import Ring
from storage.sortedmap import SortedMap

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from storage.ring import Subscription

__all__ = ["Change", "Collection"]

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change(Generic[T]):
    """What happened to one key. "put": `item` is the new state, `previous` the one before (None: created).
    "delete": `item` is the last state decoded with the deletion's revision, `previous` the last state itself.

    `revision` never decreases from change to change. Where the backend's history had a gap, what was deleted in it comes
    first, with the last revision before the gap, so that a reader which starts anew after any of these changes misses none."""

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
    ) -> None:
        self.prefix = prefix
        self._decode = decode
        self._items: dict[str, T] = {}
        self._sorted: SortedMap[T] = SortedMap()
        self._indexes = {name: _Index(indexer) for name, indexer in (indexers or {}).items()}
        self._ring: Ring[Change[T]] = Ring(history)

    def __len__(self) -> int:
        return len(self._items)

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
        return self._items.get(key)

    def range(self, prefix: str = "", *, start: str = "", limit: int = 0) -> list[T]:
        """The items whose whole keys begin with `prefix`, in key order, from the key `start` (inclusive) on; `limit` 0: all."""
        return self._sorted.range(prefix, start, limit)

    def index(self, name: str, value: Hashable, prefix: str = "", *, start: str = "") -> list[T]:
        """The items for which the indexer `name` yields `value`, in key order, as `range` cuts it. KeyError when there is no such
        indexer."""
        return self._indexes[name].get(value, prefix, start)

    def count(self, name: str, value: Hashable) -> int:
        """How many items `index` finds in the whole collection."""
        return self._indexes[name].count(value)

    def subscribe(self, after: int) -> Subscription[Change[T]]:
        """Follow the changes after a revision, usually `revision` in the same breath as a `range`. Raises Compacted,
        FutureRevision; a subscriber who falls behind by more than the history gets Compacted from `next`."""
        return self._ring.subscribe(after)

    # What follows is for the cache alone.

    def load(self, key: str, value: bytes, revision: int) -> None:
        """Put an item without history. Raises what decode raises."""
        self._set(key, self._decode(key, value, revision))

    def put(self, key: str, value: bytes, revision: int) -> None:
        """Apply a put. What cannot be decoded is logged, and the last known state stays."""
        try:
            item = self._decode(key, value, revision)
            previous = self._set(key, item)
        except Exception:
            _log.exception("%s at revision %d cannot be decoded: its last known state is served; write it anew to repair it", key, revision)
            return
        self._ring.append(revision, Change("put", item, previous, revision))

    def delete(self, key: str, value: bytes, revision: int) -> None:
        """Apply a deletion; `value` is the last one."""
        previous = self._items.pop(key, None)
        if previous is None:  # it never could be decoded
            return
        self._sorted.discard(key)
        for index in self._indexes.values():
            index.discard(key, previous)
        try:
            item = self._decode(key, value, revision)
        except Exception:
            _log.exception("%s, deleted at %d, cannot be decoded: watchers get its last known state", key, revision)
            item = previous
        self._ring.append(revision, Change("delete", item, previous, revision))

    def advance(self, revision: int) -> None:
        """Everything up to the revision is applied: show it to subscribers."""
        self._ring.advance(revision)

    def begin(self, revision: int) -> None:
        """History begins here: let nobody start before. (Subscribers have their place already.)"""
        self._ring.raise_floor(revision)

    def reset(self, revision: int) -> None:
        """History broke off: every subscriber gets Compacted."""
        self._ring.reset(revision)

    def close(self, reason: str) -> None:
        """End all subscriptions with Unavailable."""
        self._ring.close(reason)

    def _set(self, key: str, item: T) -> T | None:
        previous = self._items.get(key)
        values = [index.values(item) for index in self._indexes.values()]  # before anything is changed: indexers may fail
        self._items[key] = item
        self._sorted.put(key, item)
        for index, wanted in zip(self._indexes.values(), values, strict=True):
            index.put(key, previous, item, wanted)
        return previous


class _Index(Generic[T]):
    """The items by one indexer's values."""

    __slots__ = ("_indexer", "_items")

    def __init__(self, indexer: Callable[[T], Iterable[Hashable]]) -> None:
        self._indexer = indexer
        self._items: dict[Hashable, SortedMap[T]] = {}

    def get(self, value: Hashable, prefix: str, start: str) -> list[T]:
        items = self._items.get(value)
        return [] if items is None else items.range(prefix, start)

    def count(self, value: Hashable) -> int:
        return len(self._items.get(value, ()))

    def values(self, item: T) -> frozenset[Hashable]:
        return frozenset(self._indexer(item))

    def put(self, key: str, previous: T | None, item: T, wanted: frozenset[Hashable]) -> None:
        if previous is not None:
            for value in self.values(previous) - wanted:
                self._drop(key, value)
        for value in wanted:
            self._items.setdefault(value, SortedMap()).put(key, item)

    def discard(self, key: str, item: T) -> None:
        for value in self.values(item):
            self._drop(key, value)

    def _drop(self, key: str, value: Hashable) -> None:
        items = self._items[value]
        items.discard(key)
        if not items:
            del self._items[value]
