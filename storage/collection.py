"""Hold one prefix of the watch cache: decoded items in key order, indexes and watch history.

Items are decoded once per write and shared by all readers, which must not change them. Use it on
one event loop. Reads are synchronous and copy at most a list of references.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

from storage.contents import Contents
from storage.ring import Budget, Ring, Subscription

_log = logging.getLogger(__name__)

T = TypeVar("T")


def _nothing(item: object) -> int:
    return 0


class Change(NamedTuple, Generic[T]):
    """A change of one key.

    For "put", `item` is the new state and `previous` the one before it (None if the key was
    created). For "delete", `item` is the last value decoded with the deletion's revision, and
    `previous` is the last state itself. `revision` grows from change to change, or stays the same
    within a commit."""

    type: Literal["put", "delete"]
    item: T
    previous: T | None
    revision: int


class Collection(Generic[T]):
    """The items whose keys begin with `prefix`. Only WatchCache creates and fills a Collection."""

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
        self.received = 0
        """The number of changes since the collection was made."""

    def __len__(self) -> int:
        return len(self._contents)

    @property
    def revision(self) -> int:
        """Return the revision up to which every change has been applied."""
        return self._ring.revision

    @property
    def floor(self) -> int:
        """Return the oldest revision after which a subscription can start."""
        return self._ring.floor

    def get(self, key: str) -> T | None:
        """Return the item at the whole key, or None."""
        return self._contents.get(key)

    def range(self, prefix: str = "", *, start: str = "", limit: int = 0) -> Sequence[T]:
        """Return the items whose whole keys begin with `prefix`, in key order, from key `start`
        (inclusive).

        `limit` is the largest number of items, 0 for all."""
        return self._contents.range(prefix, start, limit)

    def index(self, name: str, value: Hashable, prefix: str = "", *, start: str = "") -> Sequence[T]:
        """Return the items for which the indexer `name` yields `value`, in key order.

        `prefix` and `start` restrict the result as in `range`. Raises KeyError for an unknown
        indexer."""
        return self._contents.index(name, value, prefix, start)

    def count(self, name: str, value: Hashable) -> int:
        """Return how many items `index` finds in the whole collection."""
        return self._contents.count(name, value)

    def subscribe(self, after: int) -> Subscription[Change[T]]:
        """Follow the changes after a revision.

        The revision is usually `revision`, read without an await before or after a `range`. Raises
        Compacted or FutureRevision. If the subscriber falls behind by more than the history, `next`
        raises Compacted."""
        return self._ring.subscribe(after)

    # Only the cache calls the methods below.

    def clear(self) -> None:
        """Start to load another state. Readers see the present one until `reset`."""
        self._coming = Contents(self._indexers)

    def load(self, key: str, value: bytes, revision: int) -> None:
        """Put an item into the state that is being loaded. Raises the errors of decode."""
        self._coming.put(key, self._decode(key, value, revision))

    def reset(self, revision: int) -> None:
        """Replace the state by the loaded one, as of `revision`.

        There is no history before it, so every subscriber gets Compacted."""
        self._contents = self._coming
        self._ring.reset(revision)

    def put(self, key: str, value: bytes, revision: int, before: int = 0) -> bool:
        """Apply a put. `before` is the size in bytes of the value that it replaces.

        Returns False if the value cannot be decoded. That is logged, and the last known state
        stays."""
        try:
            item = self._decode(key, value, revision)
            previous = self._contents.put(key, item)
        except Exception:
            _log.exception(
                "%s at revision %d cannot be decoded: its last known state is served; write the object again to repair it", key, revision
            )
            return False
        self._append(Change("put", item, previous, revision), len(value) + before)
        return True

    def delete(self, key: str, value: bytes, revision: int) -> None:
        """Apply a deletion. `value` is the last value of the key."""
        previous = self._contents.discard(key)
        if previous is None:  # the value could never be decoded
            return
        try:
            item = self._decode(key, value, revision)
        except Exception:
            _log.exception("%s, deleted at %d, cannot be decoded: watchers get its last known state", key, revision)
            item = previous
        self._append(Change("delete", item, previous, revision), 2 * len(value))

    def _append(self, change: Change[T], size: int) -> None:
        """Add a change to the history.

        Both states count towards its weight, because no other change may refer to the previous
        state."""
        item, previous = change.item, change.previous
        weight = size + self._weigh(item) + (0 if previous is None else self._weigh(previous))
        self._ring.append(change.revision, change, weight)
        self.received += 1

    def advance(self, revision: int) -> None:
        """Show everything up to `revision` to subscribers."""
        self._ring.advance(revision)

    def close(self, reason: str) -> None:
        """End all subscriptions with Unavailable."""
        self._ring.close(reason)
