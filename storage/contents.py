"""The items of a collection at one moment: by key, in key order, and by what indexers say of them.

A new one can be filled aside, over many turns of the loop, while readers use the old one. For one event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from storage.sortedmap import SortedMap

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

__all__ = ["Contents"]

T = TypeVar("T")


class Contents(Generic[T]):
    """indexers: name → function from an item to the values it shall be found under. An indexer that fails changes nothing."""

    __slots__ = ("_indexes", "_items", "_sorted")

    def __init__(self, indexers: Mapping[str, Callable[[T], Iterable[Hashable]]]) -> None:
        self._items: dict[str, T] = {}
        self._sorted: SortedMap[T] = SortedMap()
        self._indexes = {name: _Index(indexer) for name, indexer in indexers.items()}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> T | None:
        """The item at the key."""
        return self._items.get(key)

    def range(self, prefix: str, start: str, limit: int) -> list[T]:
        """As SortedMap.range."""
        return self._sorted.range(prefix, start, limit)

    def index(self, name: str, value: Hashable, prefix: str, start: str) -> list[T]:
        """The items found under `value`, in key order. KeyError when there is no such indexer."""
        return self._indexes[name].get(value, prefix, start)

    def count(self, name: str, value: Hashable) -> int:
        """How many `index` finds without a prefix."""
        return self._indexes[name].count(value)

    def put(self, key: str, item: T) -> T | None:
        """Insert or replace; the item before."""
        previous = self._items.get(key)
        values = [index.values(item) for index in self._indexes.values()]  # before anything is changed: indexers may fail
        self._items[key] = item
        self._sorted.put(key, item)
        for index, wanted in zip(self._indexes.values(), values, strict=True):
            index.put(key, previous, item, wanted)
        return previous

    def discard(self, key: str) -> T | None:
        """Remove the key if it is there; the item before."""
        previous = self._items.pop(key, None)
        if previous is not None:
            self._sorted.discard(key)
            for index in self._indexes.values():
                index.discard(key, previous)
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
