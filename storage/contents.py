"""Hold the items of a collection as of one moment: by key, in key order and by index.

A new Contents can be filled over many turns of the event loop while readers use the old one. Use it
on one event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

from storage.sortedmap import SortedMap

T = TypeVar("T")


class Contents(Generic[T]):
    """The items of one collection.

    `indexers` maps a name to a function that returns the values under which an item can be found.
    If an indexer fails, nothing is changed."""

    __slots__ = ("_indexes", "_items", "_sorted")

    def __init__(self, indexers: Mapping[str, Callable[[T], Iterable[Hashable]]]) -> None:
        self._items: dict[str, T] = {}
        self._sorted: SortedMap[T] = SortedMap()
        self._indexes = {name: _Index(indexer) for name, indexer in indexers.items()}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> T | None:
        """Return the item at the key, or None."""
        return self._items.get(key)

    def range(self, prefix: str, start: str, limit: int) -> list[T]:
        """Return items in key order. See SortedMap.range."""
        return self._sorted.range(prefix, start, limit)

    def index(self, name: str, value: Hashable, prefix: str, start: str) -> list[T]:
        """Return the items that have the index value `value`, in key order.

        Raises KeyError for an unknown indexer."""
        return self._indexes[name].get(value, prefix, start)

    def count(self, name: str, value: Hashable) -> int:
        """Return how many items `index` finds without a prefix."""
        return self._indexes[name].count(value)

    def put(self, key: str, item: T) -> T | None:
        """Insert or replace an item, and return the previous one."""
        previous = self._items.get(key)
        # Compute all index values before anything is changed, because an indexer may fail.
        values = [index.values(item) for index in self._indexes.values()]
        self._items[key] = item
        self._sorted.put(key, item)
        for index, wanted in zip(self._indexes.values(), values, strict=True):
            index.put(key, previous, item, wanted)
        return previous

    def discard(self, key: str) -> T | None:
        """Remove the key if it exists, and return its item."""
        previous = self._items.pop(key, None)
        if previous is not None:
            self._sorted.discard(key)
            for index in self._indexes.values():
                index.discard(key, previous)
        return previous


class _Index(Generic[T]):
    """The items by the values of one indexer."""

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
