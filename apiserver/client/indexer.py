"""What an informer knows: the last seen objects by key, with indexes. Plain dicts, shared: never change what you get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.client.objects import namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from apiserver.client.objects import Object

__all__ = ["Indexer", "Store"]

Indexer = "Callable[[Object], Iterable[str]]"
"""The values that an object is to be found by."""


class Store:
    """Objects by key ("namespace/name" or "name"). The index "namespace" is always there."""

    def __init__(self, indexers: dict[str, Callable[[Object], Iterable[str]]] | None = None) -> None:
        self._objects: dict[str, Object] = {}
        self._indexers: dict[str, Callable[[Object], Iterable[str]]] = {"namespace": lambda obj: [namespace_of(obj)], **(indexers or {})}
        self._indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in self._indexers}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: str) -> bool:
        return key in self._objects

    def __iter__(self) -> Iterator[Object]:
        """All objects, in a list of its own: the store may change meanwhile."""
        return iter(list(self._objects.values()))

    def keys(self) -> list[str]:
        """All keys."""
        return list(self._objects)

    def get(self, key: str) -> Object | None:
        """The object, or None."""
        return self._objects.get(key)

    def by_index(self, index: str, value: str) -> list[Object]:
        """The objects that the indexer gives this value for, oldest first."""
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def has(self, index: str, value: str) -> bool:
        """Whether the indexer gives this value for any object."""
        return value in self._indexes[index]

    def values(self, index: str) -> list[str]:
        """All values that the indexer gives."""
        return list(self._indexes[index])

    def put(self, key: str, obj: Object) -> Object | None:
        """Takes in the object; returns the one it replaces."""
        old = self._objects.get(key)
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = obj
        for index, indexer in self._indexers.items():
            for value in indexer(obj):
                self._indexes[index].setdefault(value, {})[key] = None
        return old

    def remove(self, key: str) -> Object | None:
        """Forgets the object; returns it."""
        old = self._objects.pop(key, None)
        if old is not None:
            self._unindex(key, old)
        return old

    def _unindex(self, key: str, obj: Object) -> None:
        for index, indexer in self._indexers.items():
            for value in indexer(obj):
                keys = self._indexes[index].get(value)
                if keys is not None:
                    keys.pop(key, None)
                    if not keys:
                        del self._indexes[index][value]
