"""Serve objects of one kind that are derived from the stored objects of another kind.

Derived objects are neither stored nor cached. Each is computed when it is read, and has the
resourceVersion of its origin. An index of the origin's collection has the objects from which others
are derived. So the cost of a page depends on the page, not on the length of the list.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import overload

from apiserver.registry.generic.entry import Entry
from storage.collection import Change, Collection
from storage.ring import Subscription

Derive = Callable[[Entry], Entry | None]


class DerivedCollection(Collection[Entry]):
    """The objects that `derive` returns for the entries of another collection. They have no labels.

    Entries for which `derive` returns None are left out. The index `indexed` of `origin` has the
    other entries, under the value True."""

    def __init__(self, origin: Collection[Entry], derive: Derive, indexed: str) -> None:
        super().__init__(origin.prefix, lambda key, value, revision: Entry(key, "", "", revision, value, {}, {}))
        self._origin, self._derive, self._indexed = origin, derive, indexed

    def __len__(self) -> int:
        return self._origin.count(self._indexed, True)

    @property
    def revision(self) -> int:
        return self._origin.revision

    @property
    def floor(self) -> int:
        return self._origin.floor

    def get(self, key: str) -> Entry | None:
        found = self._origin.get(key)
        return self._derive(found) if found is not None else None

    def range(self, prefix: str = "", *, start: str = "", limit: int = 0) -> Sequence[Entry]:
        found = self._origin.index(self._indexed, True, prefix, start=start)
        return _Derived(found[:limit] if limit else found, self._derive)

    def index(self, name: str, value: Hashable, prefix: str = "", *, start: str = "") -> Sequence[Entry]:
        return ()

    def count(self, name: str, value: Hashable) -> int:
        return 0

    def subscribe(self, after: int) -> Subscription[Change[Entry]]:
        return _DerivedSubscription(self._origin.subscribe(after), self._derive)


class _Derived(Sequence[Entry]):
    """The objects that are derived from these entries. Each is computed when it is read."""

    def __init__(self, entries: Sequence[Entry], derive: Derive) -> None:
        self._entries, self._derive = entries, derive

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return _Derived(self._entries[index], self._derive)
        found = self._derive(self._entries[index])
        assert found is not None, "the index has only entries from which an object is derived"
        return found


class _DerivedSubscription(Subscription[Change[Entry]]):
    """The changes of derived objects. An object that appears or disappears is created or
    deleted."""

    __slots__ = ("_derive", "_origin")

    def __init__(self, origin: Subscription[Change[Entry]], derive: Derive) -> None:
        self._origin, self._derive = origin, derive

    @property
    def revision(self) -> int:
        return self._origin.revision

    @property
    def complete(self) -> bool:
        return self._origin.complete

    def take(self, count: int = 0, weight: int = 0) -> list[Change[Entry]]:
        while changes := self._origin.take(count, weight):
            if found := self._derived(changes):
                return found
        return []

    async def next(self, timeout: float | None = None) -> list[Change[Entry]]:
        return self._derived(await self._origin.next(timeout))

    def close(self) -> None:
        self._origin.close()

    def _derived(self, changes: Iterable[Change[Entry]]) -> list[Change[Entry]]:
        return [found for change in changes if (found := _changed(change, self._derive)) is not None]


def _changed(change: Change[Entry], derive: Derive) -> Change[Entry] | None:
    """Return the change of the derived object, or None if it has not changed."""
    previous = derive(change.previous) if change.previous is not None else None
    item = derive(change.item)
    if change.type == "put" and item is not None:
        return Change("put", item, previous, change.revision)
    if previous is None:
        return None
    return Change("delete", previous.at(change.revision), previous, change.revision)
