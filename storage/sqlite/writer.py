"""The one thread that writes: group commit, and compaction in between.

While one transaction is being made durable, commits queue up; they then go into the next transaction together, each with
its own revision and its own conflict check. Outcomes, conflicts too, are told only after the COMMIT: a conflict may be
with a change of the same group.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from storage.base import Conflict, FutureRevision, Put, StorageError, Unavailable
from storage.sqlite import statements
from storage.sqlite.errors import translate
from storage.sqlite.schema import last_id, meta
from storage.sqlite.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storage.base import Event, Operation

__all__ = ["Writer"]

T = TypeVar("T")
_log = logging.getLogger(__name__)

_GROUP = 256  # commits in one transaction
_GROUP_BYTES = 8 << 20
_SWEEP_ROWS = 100


@dataclass(frozen=True, slots=True)
class _Commit:
    operations: Sequence[Operation]
    future: asyncio.Future[int]


@dataclass(frozen=True, slots=True)
class _Compact:
    revision: int
    future: asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


@dataclass(frozen=True, slots=True)
class _Group:
    """What became of some commits: an outcome for each, the latest revision, and the events of all."""

    outcomes: list[int | StorageError]
    revision: int
    events: list[Event]


class Writer:
    """Owns `connection` from here on. `publish(revision, events)` and `compacted(revision)` are called on the loop once
    that is durable, before the callers hear of it."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, publish: Callable[[int, list[Event]], None], compacted: Callable[[int], None]
    ) -> None:
        self._connection, self._path, self._publish, self._publish_compacted = connection, path, publish, compacted
        counters = meta(connection)
        self._revision, self._compacted, self._swept = counters["revision"], counters["compacted"], counters["swept"]
        self._sweepable = True
        self._jobs: queue.SimpleQueue[_Commit | _Compact | _Stop] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    def commit(self, operations: Sequence[Operation]) -> asyncio.Future[int]:
        """Queue a commit."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._jobs.put(_Commit(operations, future))
        return future

    def compact(self, revision: int) -> asyncio.Future[None]:
        """Queue a compaction: done when the history is out of sight; its rows go by and by."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._jobs.put(_Compact(revision, future))
        return future

    def stop(self) -> None:
        """Finish what is queued, close the connection and end. Blocks until then."""
        self._jobs.put(_Stop())
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except RuntimeError:
            if not self._loop.is_closed():  # otherwise nobody is left to tell
                raise
        finally:
            self._connection.close()

    def _turn(self) -> bool:
        """Do what is waiting, then a little sweeping. False when told to stop."""
        sweeping = self._sweepable and self._swept < last_id(self._compacted)
        commits, other = self._take(wait=not sweeping)
        if commits:
            self._loop.call_soon_threadsafe(self._complete, commits, self._apply(commits))
        if isinstance(other, _Compact):
            self._loop.call_soon_threadsafe(self._complete_compact, other, self._compact(other.revision))
        elif sweeping:
            self._sweep()
        return not isinstance(other, _Stop)

    def _take(self, *, wait: bool) -> tuple[list[_Commit], _Compact | _Stop | None]:
        """The commits waiting, in order, up to a group's size or the next job of another kind."""
        commits: list[_Commit] = []
        size = 0
        try:
            job = self._jobs.get(block=wait)
            while isinstance(job, _Commit):
                commits.append(job)
                size += sum(len(operation.value) for operation in job.operations if isinstance(operation, Put))
                if len(commits) == _GROUP or size > _GROUP_BYTES:
                    return commits, None
                job = self._jobs.get_nowait()
        except queue.Empty:
            return commits, None
        return commits, job

    def _apply(self, commits: list[_Commit]) -> _Group:
        """Make the commits durable in one transaction; when one of them makes it fail, each in its own."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            return self._failed(commits, translate(error, self._path))
        try:
            group = self._write(commits)
        except (sqlite3.Error, MemoryError, OverflowError) as error:
            self._rollback()
            if len(commits) > 1:
                return self._apply_each(commits)
            return self._failed(commits, self._error(error))
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            return self._settle(commits, group, translate(error, self._path))
        self._revision = group.revision
        return group

    def _write(self, commits: list[_Commit]) -> _Group:
        outcomes: list[int | StorageError] = []
        events: list[Event] = []
        revision = self._revision
        for commit in commits:
            try:
                changes = statements.apply(self._connection, commit.operations, revision + 1)
            except Conflict as conflict:
                outcomes.append(conflict)
                continue
            if changes:
                revision += 1
                events += changes
            outcomes.append(revision)
        if events:
            self._connection.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (revision,))
        return _Group(outcomes, revision, events)

    def _apply_each(self, commits: list[_Commit]) -> _Group:
        groups = [self._apply([commit]) for commit in commits]
        return _Group([o for group in groups for o in group.outcomes], self._revision, [e for group in groups for e in group.events])

    def _settle(self, commits: list[_Commit], group: _Group, error: StorageError) -> _Group:
        """COMMIT itself failed: find out what is there, so that watches tell no less; the callers have to read anyway."""
        self._rollback()
        with suppress(sqlite3.Error):
            if meta(self._connection)["revision"] == group.revision > self._revision:
                self._revision = group.revision
                return _Group([error] * len(commits), group.revision, group.events)
        return self._failed(commits, error)

    def _failed(self, commits: list[_Commit], error: StorageError) -> _Group:
        return _Group([error] * len(commits), self._revision, [])

    def _error(self, error: Exception) -> StorageError:
        if isinstance(error, sqlite3.Error):
            return translate(error, self._path)
        return Unavailable(f"{self._path}: {type(error).__name__}: {error}; nothing of the commit was applied")

    def _rollback(self) -> None:
        if self._connection.in_transaction:  # SQLite has rolled back by itself after some errors
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _complete(self, commits: list[_Commit], group: _Group) -> None:
        if group.events:
            self._publish(group.revision, group.events)
        for commit, outcome in zip(commits, group.outcomes, strict=True):
            _tell(commit.future, outcome)

    def _compact(self, revision: int) -> StorageError | None:
        self._sweepable = True
        if revision > self._revision:
            return FutureRevision(revision, self._revision)
        if revision > self._compacted:
            try:
                self._connection.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (revision,))
            except sqlite3.Error as error:
                return translate(error, self._path)
            self._compacted = revision
        return None

    def _complete_compact(self, job: _Compact, error: StorageError | None) -> None:
        if error is None:
            self._publish_compacted(job.revision)
        _tell(job.future, error)

    def _sweep(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            reached = sweep(self._connection, self._swept, last_id(self._compacted), _SWEEP_ROWS)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            self._sweepable = False
            _log.warning("Compaction stops until the next one is due: %s", translate(error, self._path))
        else:
            self._swept = reached


def _tell(future: asyncio.Future[T], outcome: T | StorageError) -> None:
    """Complete the future unless its caller has gone."""
    if future.done():
        return
    if isinstance(outcome, StorageError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
