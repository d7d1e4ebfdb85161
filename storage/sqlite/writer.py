"""Commit in groups and compact in between, one transaction after the other on one connection.

While one transaction is being made durable, commits are queued. They then enter the next
transaction together, each with its own revision and its own conflict check. All outcomes are
reported only after the COMMIT, because a commit may conflict with a change of the same group.

The statements of a group run on the event loop, as they only change memory. Work that waits for the
disk runs in a thread: the COMMIT and compaction. So does a whole group if it is large, has to wait
for a lock, or failed. In a thread, each single statement would take the GIL away from the loop. The
connection belongs to the thread while the thread has a job, and to the loop otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from storage.base import Event, FutureRevision, Operation, Put, StorageError
from storage.sqlite.errors import translate
from storage.sqlite.freespace import FreeSpace
from storage.sqlite.schema import last_id, meta
from storage.sqlite.sweep import sweep
from storage.sqlite.transactions import Group, Transactions

T = TypeVar("T")
_log = logging.getLogger(__name__)

_GROUP = 64  # commits in one transaction: they take two milliseconds of the loop
_GROUP_BYTES = 1 << 20
_GROUP_OPERATIONS = 256
_SWEEP_ROWS = 100


class _Commit(NamedTuple):
    operations: Sequence[Operation]
    future: asyncio.Future[int]


class _Compact(NamedTuple):
    revision: int
    future: asyncio.Future[None]


class Writer:
    """The only user of `connection` from here on.

    `publish(revision, events)` and `compacted(revision)` are called on the loop as soon as the
    change is durable, before the callers get their outcome. `short()` is called while there is
    little room."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        free_space: FreeSpace,
        publish: Callable[[int, list[Event]], None],
        compacted: Callable[[int], None],
        short: Callable[[], None],
    ) -> None:
        self._connection, self._path, self._publish, self._publish_compacted = connection, path, publish, compacted
        self._free_space, self._short = free_space, short
        self._transactions = Transactions(connection, path, free_space)
        counters = meta(connection)
        self._compacted, self._swept = counters["compacted"], counters["swept"]
        self._sweepable, self._just_swept = True, False
        self._waiting: deque[_Commit | _Compact] = deque()
        self._busy = self._stopping = False
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.Future[None] | None = None
        # A job runs in the thread and returns a function to call on the loop.
        self._jobs: queue.SimpleQueue[Callable[[], Callable[[], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    def commit(self, operations: Sequence[Operation]) -> asyncio.Future[int]:
        """Queue a commit."""
        future: asyncio.Future[int] = self._loop.create_future()
        self._queue(_Commit(operations, future))
        return future

    def compact(self, revision: int) -> asyncio.Future[None]:
        """Queue a compaction. It is done when the history is hidden; the rows are removed later."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue(_Compact(revision, future))
        return future

    async def finish(self) -> None:
        """Wait until everything in the queue is done. Nothing may be queued after this call."""
        self._stopping = True
        if self._busy:
            self._idle = self._loop.create_future()
            await self._idle

    def stop(self) -> None:
        """Close the connection and end the thread, after `finish`. Blocks."""
        self._jobs.put(None)
        self._thread.join()

    def _queue(self, what: _Commit | _Compact) -> None:
        self._waiting.append(what)
        if not self._busy:
            self._busy = True
            # after all callers of this turn of the loop have queued their commits
            self._loop.call_soon(self._next)

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                self._loop.call_soon_threadsafe(self._done, job())
        except RuntimeError:
            if not self._loop.is_closed():  # otherwise no caller is left to notify
                raise
        finally:
            self._connection.close()

    def _done(self, tell: Callable[[], None]) -> None:
        tell()
        self._next()

    def _next(self) -> None:
        """Give the thread its next job: queued commits, a compaction, or a short sweep in
        between."""
        sweeping = self._sweepable and not self._stopping and self._swept < last_id(self._compacted)
        self._just_swept = sweeping and not (self._just_swept and self._waiting)
        if self._just_swept:
            self._jobs.put(self._sweep)
        elif not self._waiting:
            self._busy = False
            if self._idle is not None:
                _resolve(self._idle, None)
        elif isinstance(what := self._waiting[0], _Compact):
            self._waiting.popleft()
            self._jobs.put(partial(self._compact, what))
        else:
            self._jobs.put(self._prepared(*self._take()))

    def _take(self) -> tuple[list[_Commit], bool]:
        """Remove the next commits from the queue, up to the size of a group or a compaction.

        The second result is true if they are too large for the loop."""
        commits: list[_Commit] = []
        operations = size = 0
        while self._waiting and len(commits) < _GROUP and isinstance(what := self._waiting[0], _Commit):
            operations += len(what.operations)
            size += sum([len(operation.value) for operation in what.operations if isinstance(operation, Put)])
            large = operations > _GROUP_OPERATIONS or size > _GROUP_BYTES
            if large and commits:
                break
            commits.append(what)
            self._waiting.popleft()
            if large:
                return commits, True
        return commits, False

    def _prepared(self, commits: list[_Commit], large: bool) -> Callable[[], Callable[[], None]]:
        """Return the job that makes the commits durable, after running their statements on the loop
        if they are small."""
        operations = [commit.operations for commit in commits]
        group = None if large else self._transactions.start(operations)
        job = partial(self._transactions.apply, operations) if group is None else partial(self._transactions.finish, operations, group)
        return lambda: partial(self._complete, commits, job())

    def _complete(self, commits: list[_Commit], group: Group) -> None:
        if group.events:
            self._publish(group.revision, group.events)
        if self._free_space.short:
            self._short()
        for commit, outcome in zip(commits, group.outcomes, strict=True):
            _resolve(commit.future, outcome)

    def _compact(self, job: _Compact) -> Callable[[], None]:
        return partial(self._complete_compact, job, self._compacted_to(job.revision))

    def _compacted_to(self, revision: int) -> StorageError | None:
        self._sweepable = True
        if revision > self._transactions.revision:
            return FutureRevision(revision, self._transactions.revision)
        if revision > self._compacted:
            try:
                self._transactions.begin()
                self._connection.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (revision,))
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._transactions.rollback()
                return translate(error, self._path)
            self._compacted = revision
        return None

    def _complete_compact(self, job: _Compact, error: StorageError | None) -> None:
        if error is None:
            self._publish_compacted(job.revision)
        _resolve(job.future, error)

    def _sweep(self) -> Callable[[], None]:
        try:
            self._transactions.begin()
            reached = sweep(self._connection, self._swept, last_id(self._compacted), _SWEEP_ROWS)
            self._free_space.measure()
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._transactions.rollback()
            self._sweepable = False
            _log.warning("Compaction failed and will continue with the next one: %s", translate(error, self._path))
        else:
            self._swept = reached
        return _nothing


def _nothing() -> None:
    """Do nothing: no caller waits for a sweep."""


def _resolve(future: asyncio.Future[T], outcome: T | StorageError) -> None:
    """Complete the future unless its caller has gone."""
    if future.done():
        return
    if isinstance(outcome, StorageError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
