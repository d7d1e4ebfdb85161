"""Store the last seen objects of an informer by key, with indexes.

Objects are plain, shared dicts: never change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from apiserver.client.objects import Object, namespace_of

Indexer = "Callable[[Object], Iterable[str]]"
"""A function that returns the values under which an object can be found."""


class Store:
    """Objects by key ("namespace/name" or "name"). The index "namespace" always exists."""

    def __init__(self, indexers: dict[str, Callable[[Object], Iterable[str]]] | None = None) -> None:
        self._objects: dict[str, Object] = {}
        self._indexers: dict[str, Callable[[Object], Iterable[str]]] = {"namespace": lambda obj: [namespace_of(obj)], **(indexers or {})}
        self._indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in self._indexers}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: str) -> bool:
        return key in self._objects

    def __iter__(self) -> Iterator[Object]:
        """Iterate over a copy of all objects, because the store may change meanwhile."""
        return iter(list(self._objects.values()))

    def keys(self) -> list[str]:
        """Return all keys."""
        return list(self._objects)

    def get(self, key: str) -> Object | None:
        """Return the object, or None."""
        return self._objects.get(key)

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with this value in the index, oldest first."""
        return [self._objects[key] for key in self._indexes[index].get(value, ())]

    def has(self, index: str, value: str) -> bool:
        """Return whether any object has this value in the index."""
        return value in self._indexes[index]

    def values(self, index: str) -> list[str]:
        """Return all values in the index."""
        return list(self._indexes[index])

    def put(self, key: str, obj: Object) -> Object | None:
        """Store the object, and return the one that it replaces."""
        old = self._objects.get(key)
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = obj
        for index, indexer in self._indexers.items():
            for value in indexer(obj):
                self._indexes[index].setdefault(value, {})[key] = None
        return old

    def remove(self, key: str) -> Object | None:
        """Remove the object, and return it."""
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
