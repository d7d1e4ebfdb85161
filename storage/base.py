"""Defines the interface of a store: an ordered map from keys to bytes, with one global revision, transactions and watches.

A store knows bytes, keys and revisions only. Objects, resourceVersions as strings, HTTP statuses and tenants belong to the
layers above. Every backend (storage.sqlite, storage.etcd) and the watch cache (storage.cache) implement this interface and
pass storage.testing.StoreTests.

Revisions are positive integers. Each commit that changes anything gets a revision larger than every one before it, and
all its changes carry that revision. Revisions are never reused, not even after kill -9 or deletion of everything.

Keys are text without NUL and are compared as UTF-8 bytes. Prefixes are plain byte prefixes; end them with "/".

Errors, all below StorageError:

    StorageError
    +-- Conflict      an expectation of a commit did not hold: key, expected, actual
    +-- Compacted     the requested revision was compacted: oldest (the oldest one still readable)
    +-- FutureRevision the requested revision does not exist yet: current
    +-- Unavailable   the backend does not answer or is closed; the outcome of a commit is unknown
    |   +-- Full      the backend has no room for the commit; nothing of it was applied, and deletions are accepted
    +-- TooLarge      the commit exceeds a limit of the backend; nothing of it was applied (also a ValueError)
    +-- Corrupt       the stored data cannot be trusted; the message says what to do
    +-- RolledBack    the backend was replaced by an older state and would reuse revisions; the message says what to do
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = [
    "Check",
    "Compacted",
    "Conflict",
    "Corrupt",
    "Delete",
    "Event",
    "Full",
    "FutureRevision",
    "KeyValue",
    "Operation",
    "Page",
    "Progress",
    "Put",
    "RolledBack",
    "StorageError",
    "Store",
    "TooLarge",
    "Unavailable",
    "Usage",
]


class StorageError(Exception):
    """Base of everything a Store raises."""


class Conflict(StorageError):
    """An expectation did not hold; nothing of the commit was applied. `actual` is 0 where the key does not exist."""

    def __init__(self, key: str, expected: int, actual: int) -> None:
        super().__init__(f"{key}: expected revision {expected}, found {actual}")
        self.key, self.expected, self.actual = key, expected, actual


class Compacted(StorageError):
    """The requested history was compacted. List again and continue from there."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"revision {revision} is compacted; the oldest is {oldest}")
        self.revision, self.oldest = revision, oldest


class FutureRevision(StorageError):
    """The requested revision does not exist yet."""

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"revision {revision} is ahead of the current {current}")
        self.revision, self.current = revision, current


class Unavailable(StorageError):
    """The backend does not answer. A commit that ends with this error may have been applied: read before trying again."""


class Full(Unavailable):
    """The backend has no room for the commit. Nothing was applied. Reads, watches and commits that free space continue to work."""


class TooLarge(StorageError, ValueError):
    """The commit has more bytes or operations than this backend accepts. Nothing was applied; the message states the limit."""


class Corrupt(StorageError):
    """The stored data failed a check and is not served. The message says how to restore; `finding` says only what is wrong."""

    def __init__(self, message: str, *, finding: str = "") -> None:
        super().__init__(message)
        self.finding = finding or message


class RolledBack(StorageError):
    """The backend's revision went backwards, because an older state was restored. Its next revisions were used already for other states,
    so it is not served. The message says how to restore with larger revisions."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """Holds the state of one key. `revision` is the revision of the commit that last wrote the key."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write `value` at `key`. `expected`: the revision that the key must have now; 0 if it must not exist, None for any."""

    key: str
    value: bytes
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete `key`. `expected`: as in Put. Deleting an absent key with expected=None changes nothing."""

    key: str
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Fail the commit unless `key` has revision `expected` (0: does not exist). Changes nothing."""

    key: str
    expected: int


Operation = Put | Delete | Check


@dataclass(frozen=True, slots=True)
class Page:
    """Holds a consistent part of the map: `items` in key order, all as of `revision`. `more`: items follow after the last one."""

    items: Sequence[KeyValue]
    revision: int
    more: bool


class Event(NamedTuple):
    """Holds one change of one key.

    "put": `value` is the new value, and `previous` the one before (None: created). "delete": `value` and `previous` are the
    last value before the deletion."""

    type: Literal["put", "delete"]
    key: str
    value: bytes
    revision: int
    previous: bytes | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Says that this watch has delivered every change up to `revision`."""

    revision: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Holds how much a backend has stored. `size`, `limit`: bytes, 0 if unknown. `full`: commits that store more are refused."""

    size: int
    limit: int
    full: bool


class Store(ABC):
    """An ordered, revisioned, transactional map. All methods are safe to call concurrently on one event loop.

    `exclusive`: only commits through this object change the data, as in an embedded store. A cache around such a store need not
    ask it before a linearizable read."""

    exclusive: bool = False

    def usage(self) -> Usage:
        """Return how much is stored, as far as it is known without a request to the backend."""
        return Usage(0, 0, full=False)

    @abstractmethod
    async def start(self) -> None:
        """Open the backend. Raises Corrupt or Unavailable with a message that says what to do."""

    @abstractmethod
    async def close(self) -> None:
        """Finish acknowledged work, end watches (their iterators raise Unavailable) and release everything. Idempotent."""

    @abstractmethod
    async def get(self, key: str) -> KeyValue | None:
        """Return the latest committed state of `key` (linearizable), or None."""

    @abstractmethod
    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        """Return the keys below `prefix` in order.

        `start`: the first key (inclusive); for the next page, the last key + NUL. `limit`: the largest number of keys; 0 for all. A
        page with a limit has fewer keys if their values are large, and `more` says whether keys follow. `at`: the revision to read
        at; 0 for the latest (linearizable). Raises Compacted or FutureRevision for `at`."""

    @abstractmethod
    async def commit(self, operations: Sequence[Operation]) -> int:
        """Apply all operations or none. When this returns, they are durable and visible to every later read of this store.

        Returns the commit's revision, or the current one if the operations changed nothing (only Checks, or Deletes of absent
        keys). Raises Conflict for the first failed expectation, ValueError if two operations name one key, Full if there is no room
        (Deletes are still accepted), and Unavailable if the outcome is unknown. A commit may be applied even though its caller was
        cancelled."""

    @abstractmethod
    def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        """Yield every change below `prefix` with a revision greater than `after`, until closed.

        Changes come in order of revision, and within one commit in the order of its operations; none is lost or repeated. The watch
        yields Progress as soon as no change is waiting, and from time to time while idle. The events of a revision are complete only
        after Progress or an event of a later revision: a reader that starts again must start after the last complete revision.
        Raises Compacted if `after` is older than the kept history, FutureRevision if it does not exist yet, and Unavailable when the
        stream ends."""

    @abstractmethod
    async def current_revision(self) -> int:
        """Return the revision of the latest commit (linearizable): 1 or more, even if nothing was ever written."""

    @abstractmethod
    async def compact(self, revision: int) -> None:
        """Drop the history up to and including `revision`. Reads at an older revision, and watches after one, then raise Compacted.

        Does nothing if the history was compacted further already. Raises FutureRevision if `revision` does not exist yet."""
