"""Define the interface of a store: an ordered map from keys to bytes with one global revision.

A store also has transactions and watches. It knows bytes, keys and revisions only. Objects,
resourceVersions as strings, HTTP statuses and tenants belong to the layers above. Every backend
(storage.sqlite, storage.etcd) and the watch cache (storage.cache) implement this interface and pass
storage.testing.StoreTests.

Revisions are positive integers. Each commit that changes anything gets a revision larger than every
earlier one, and all its changes carry that revision. A revision is never reused, not even after
kill -9 or after every key was deleted.

Keys are text without NUL and are compared as UTF-8 bytes. Prefixes are plain byte prefixes; end
them with "/".

All errors derive from StorageError:

    StorageError
    +-- Conflict       an expectation of a commit did not hold: key, expected, actual
    +-- Compacted      the requested revision was compacted: oldest (the oldest readable one)
    +-- FutureRevision the requested revision does not exist yet: current
    +-- Unavailable    the backend does not answer or is closed; the outcome of a commit is unknown
    |   +-- Full       the backend has no room for the commit: nothing was applied; deletions work
    +-- TooLarge       the commit exceeds a limit of the backend: nothing was applied (a ValueError)
    +-- Corrupt        the stored data cannot be trusted; the message says what to do
    +-- RolledBack     an older state was restored and revisions would be reused; the message says
                       what to do
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, NamedTuple

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
    "Priority",
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
    """Base class of all errors that a Store raises."""


class Conflict(StorageError):
    """An expectation of the commit did not hold, and nothing of the commit was applied.

    `actual` is the key's revision, or 0 if the key does not exist."""

    def __init__(self, key: str, expected: int, actual: int) -> None:
        super().__init__(f"{key}: expected revision {expected}, found {actual}")
        self.key, self.expected, self.actual = key, expected, actual


class Compacted(StorageError):
    """The requested history was compacted. List again and continue from the revision of that
    list."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"revision {revision} is compacted; the oldest is {oldest}")
        self.revision, self.oldest = revision, oldest


class FutureRevision(StorageError):
    """The requested revision does not exist yet."""

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"revision {revision} is ahead of the current {current}")
        self.revision, self.current = revision, current


class Unavailable(StorageError):
    """The backend does not answer. A commit that ends with this error may have been applied: read
    before trying again."""


class Full(Unavailable):
    """The backend has no room for the commit, and nothing of it was applied.

    Reads, watches and commits that free space continue to work."""


class TooLarge(StorageError, ValueError):
    """The commit has more bytes or operations than this backend accepts. Nothing was applied.

    The message states the limit."""


class Corrupt(StorageError):
    """The stored data failed a check and is not served.

    The message says how to restore. `finding` says only what is wrong."""

    def __init__(self, message: str, *, finding: str = "") -> None:
        super().__init__(message)
        self.finding = finding or message


class RolledBack(StorageError):
    """The backend's revision went backwards because an older state was restored.

    Its next revisions were already used for other states, so the backend is not served. The message
    says how to restore with larger revisions."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """The state of one key. `revision` is the revision of the commit that last wrote the key."""

    key: str
    value: bytes
    revision: int


class Priority(IntEnum):
    """The purpose of a write, which decides how much of a full store's reserve it may use."""

    CLIENT = 0
    """A client's write, and any write that creates a key: none of the reserve."""
    FOLLOWS = 1
    """A consequence of clients' writes, such as a status: a part of the reserve."""
    RELEASE = 2
    """A deletion, or a write that releases a host: the largest part of the reserve."""


@dataclass(frozen=True, slots=True)
class Put:
    """Write `value` at `key`.

    `expected` is the revision that the key must have now: 0 if it must not exist, None for any."""

    key: str
    value: bytes
    expected: int | None = None
    priority: Priority = Priority.CLIENT


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete `key`. Deleting an absent key with expected=None changes nothing.

    `expected` has the same meaning as in Put."""

    key: str
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Fail the commit unless `key` has the revision `expected` (0: the key must not exist).

    A Check changes nothing."""

    key: str
    expected: int


Operation = Put | Delete | Check


@dataclass(frozen=True, slots=True)
class Page:
    """A consistent part of the map: `items` in key order, all as of `revision`.

    `more` is true if further items follow the last one."""

    items: Sequence[KeyValue]
    revision: int
    more: bool


class Event(NamedTuple):
    """One change of one key.

    For "put", `value` is the new value and `previous` the one before it (None if the key was
    created). For "delete", `value` and `previous` are both the last value before the deletion."""

    type: Literal["put", "delete"]
    key: str
    value: bytes
    revision: int
    previous: bytes | None


@dataclass(frozen=True, slots=True)
class Progress:
    """A notification that this watch has delivered every change up to `revision`."""

    revision: int


@dataclass(frozen=True, slots=True)
class Usage:
    """The amount of data that a backend has stored.

    `size` and `limit` are bytes, 0 if unknown. `full` is true while commits that store more are
    refused."""

    size: int
    limit: int
    full: bool


class Store(ABC):
    """An ordered, revisioned, transactional map.

    All methods may be called concurrently on one event loop.

    `exclusive` is true if only commits through this object change the data, as in an embedded
    store. A cache around such a store does not need to ask the store before a linearizable read."""

    exclusive: bool = False

    def usage(self) -> Usage:
        """Return how much is stored, without a request to the backend."""
        return Usage(0, 0, full=False)

    @abstractmethod
    async def start(self) -> None:
        """Open the backend. Raises Corrupt or Unavailable with a message that says what to do."""

    @abstractmethod
    async def close(self) -> None:
        """Finish acknowledged work, end watches and release all resources.

        Iterators of watches raise Unavailable. Calling this again has no effect."""

    @abstractmethod
    async def get(self, key: str) -> KeyValue | None:
        """Return the latest committed state of `key` (linearizable), or None."""

    @abstractmethod
    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        """Return the keys below `prefix` in order.

        `start` is the first key (inclusive); for the next page, pass the last key + NUL. `limit` is
        the largest number of keys, 0 for all. A page with a limit has fewer keys if their values
        are large, and `more` says whether keys follow. `at` is the revision to read at, 0 for the
        latest (linearizable). Raises Compacted or FutureRevision for `at`."""

    @abstractmethod
    async def commit(self, operations: Sequence[Operation]) -> int:
        """Apply all operations or none. On return they are durable and visible to every later read.

        Returns the commit's revision, or the current one if the operations changed nothing (only
        Checks, or Deletes of absent keys). Raises Conflict for the first failed expectation,
        and ValueError if two operations name one key. Raises Full if there is no room (Deletes are
        still accepted), and Unavailable if the outcome is unknown. A commit may be applied even if
        its caller was cancelled."""

    @abstractmethod
    def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        """Yield every change below `prefix` with a revision greater than `after`, until closed.

        Changes come in order of revision, and within one commit in the order of its operations.
        None is lost or repeated. The watch yields Progress as soon as no change is waiting, and
        from time to time while idle. The events of a revision are complete only after Progress or
        an event of a later revision. A reader that starts again must therefore start after the last
        complete revision.

        Raises Compacted if `after` is older than the kept history, FutureRevision if it does not
        exist yet, and Unavailable when the stream ends."""

    @abstractmethod
    async def current_revision(self) -> int:
        """Return the revision of the latest commit (linearizable): 1 or more, even if nothing was
        ever written."""

    @abstractmethod
    async def compact(self, revision: int) -> None:
        """Drop the history up to and including `revision`.

        Afterwards reads at an older revision, and watches after an older revision, raise Compacted.
        Does nothing if the history was already compacted further. Raises FutureRevision if
        `revision` does not exist yet."""
