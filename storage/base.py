"""The Store seam: an ordered map from keys to bytes with one global revision, transactions and watches.

It knows bytes, keys and revisions only. Objects, resourceVersions as strings, HTTP statuses and tenants are decided
above. Every backend (storage.sqlite, storage.etcd) and the watch cache around one (storage.cache) implements it and
passes storage.testing.StoreTests.

Revisions are positive integers. Each commit that changes anything gets a revision larger than every one before it, and
all its changes carry that revision. Revisions are never reused, not even after kill -9 or deletion of everything.

Keys are text without NUL, compared as their UTF-8 bytes; prefixes are plain byte prefixes (end them with "/").

Errors, all below StorageError:

    StorageError
    +-- Conflict      an expectation of a commit did not hold: key, expected, actual
    +-- Compacted     the revision asked for is gone: oldest (the oldest one still readable)
    +-- FutureRevision the revision asked for is not there yet: current
    +-- Unavailable   the backend does not answer or is closed; the outcome of a commit is unknown
    |   +-- Full      the backend has no room for the commit; nothing of it was applied, and what deletes is taken
    +-- TooLarge      the backend cannot take so much in one commit; nothing of it was applied (a ValueError as well)
    +-- Corrupt       what is stored cannot be trusted; the message says the way out
    +-- RolledBack    an older state was put in the backend's place, and its revisions would be used again; the message says the way out
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
    """The history asked for was compacted away. List anew and go on from there."""

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"revision {revision} is compacted; the oldest is {oldest}")
        self.revision, self.oldest = revision, oldest


class FutureRevision(StorageError):
    """The revision asked for has not happened (yet)."""

    def __init__(self, revision: int, current: int) -> None:
        super().__init__(f"revision {revision} is ahead of the current {current}")
        self.revision, self.current = revision, current


class Unavailable(StorageError):
    """The backend does not answer. A commit that ends so may or may not have happened: read before trying again."""


class Full(Unavailable):
    """There is no room for the commit. Nothing was applied. Reads, watches and commits that make what is stored smaller go on."""


class TooLarge(StorageError, ValueError):
    """The commit has more bytes or operations than this backend takes. Nothing was applied; the message tells the limit."""


class Corrupt(StorageError):
    """The stored data failed a check. Never served; the message tells how to restore, `finding` only what is wrong."""

    def __init__(self, message: str, *, finding: str = "") -> None:
        super().__init__(message)
        self.finding = finding or message


class RolledBack(StorageError):
    """The backend is behind what it has told before: an older state was put in its place. Never served: its next revisions were given
    out already, for other states. The message tells how to restore it with larger ones."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key's state. `revision` is that of the commit which last wrote it."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Put:
    """Write `value` at `key`. `expected`: the revision the key must have now, 0 for "must not exist", None for any."""

    key: str
    value: bytes
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove `key`. `expected` as in Put; deleting a key that is not there with expected=None changes nothing."""

    key: str
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Change nothing, but fail the commit unless `key` has revision `expected` (0: does not exist)."""

    key: str
    expected: int


Operation = Put | Delete | Check


@dataclass(frozen=True, slots=True)
class Page:
    """A consistent part of the map: `items` in key order, all as of `revision`. `more`: items exist behind the last one."""

    items: Sequence[KeyValue]
    revision: int
    more: bool


class Event(NamedTuple):
    """One key's change. For "put": the new value and, in `previous`, the one before (None: created).
    For "delete": `value` is the last state before the deletion; `previous` is the same."""

    type: Literal["put", "delete"]
    key: str
    value: bytes
    revision: int
    previous: bytes | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything up to `revision` has been delivered on this watch, though nothing may have changed."""

    revision: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a backend has stored. `size`, `limit`: bytes, 0 where it does not know. `full`: commits that store more are refused."""

    size: int
    limit: int
    full: bool


class Store(ABC):
    """An ordered, revisioned, transactional map. All methods are safe to call concurrently on one event loop.

    `exclusive`: only commits made through this very object change the data (an embedded store). What they have been
    acknowledged is then all there is, and a cache around it need not ask it before a linearizable read."""

    exclusive: bool = False

    def usage(self) -> Usage:
        """What is known of the room, without asking for it."""
        return Usage(0, 0, full=False)

    @abstractmethod
    async def start(self) -> None:
        """Open the backend. Raises Corrupt or Unavailable with a message that tells what to do."""

    @abstractmethod
    async def close(self) -> None:
        """Finish acknowledged work, end watches (their iterators raise Unavailable) and release everything. Idempotent."""

    @abstractmethod
    async def get(self, key: str) -> KeyValue | None:
        """The latest committed state of `key` (linearizable), or None."""

    @abstractmethod
    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        """The keys below `prefix` in order. `start`: first key wanted (inclusive); for the next page, the last key + NUL. `limit` 0: all;
        otherwise at most so many, and fewer where their values are large: `more` says whether it was the last page.
        `at` 0: the latest (linearizable); otherwise as of that revision (Compacted, FutureRevision)."""

    @abstractmethod
    async def commit(self, operations: Sequence[Operation]) -> int:
        """Apply all operations or none; when it returns they are durable and visible to every later read here.

        Returns the commit's revision, or the current one when the operations changed nothing (only Checks, or Deletes of
        absent keys). Raises Conflict for the first failed expectation, ValueError when two operations name one key,
        Full when there is no room (Deletes are still taken), Unavailable when the outcome is unknown. Cancelling the caller does not undo
        it: it may still be applied."""

    @abstractmethod
    def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        """Every change below `prefix` with a revision greater than `after`, in order of revision (within one commit, in
        the order of its operations), none lost or doubled, until closed. When nothing further is waiting it emits Progress
        at once, and again now and then while idle: the events of a revision are complete only when a Progress or an event
        of a later revision has come, and a reader that has to start anew must do so after the last complete one.
        Raises Compacted when `after` is older than what is kept, FutureRevision when it has not happened,
        Unavailable when the stream ends."""

    @abstractmethod
    async def current_revision(self) -> int:
        """The revision of the latest commit (linearizable). 1 or more, also when nothing was ever written."""

    @abstractmethod
    async def compact(self, revision: int) -> None:
        """Forget history up to and including `revision`: reads at, and watches after, an older one raise Compacted.
        A no-op when already compacted further; FutureRevision when it has not happened."""
