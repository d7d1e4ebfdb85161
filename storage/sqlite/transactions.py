"""Write several commits in one transaction, each with its own revision and conflict check.

All calls block."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.base import Conflict, Event, Full, Operation, StorageError, Unavailable
from storage.sqlite import statements
from storage.sqlite.errors import translate
from storage.sqlite.freespace import FreeSpace
from storage.sqlite.schema import meta

_PATIENCE = 5000  # milliseconds to wait for a lock that another program holds on the database


@dataclass(frozen=True, slots=True)
class Group:
    """The result of several commits: an outcome for each, the latest revision, and all events."""

    outcomes: list[int | StorageError]
    revision: int
    events: list[Event]


class Transactions:
    """Writes on `connection`, one transaction at a time.

    `revision` is the revision of the latest durable commit."""

    def __init__(self, connection: sqlite3.Connection, path: Path, free_space: FreeSpace) -> None:
        self._connection, self._path, self._free_space = connection, path, free_space
        self.revision = meta(connection)["revision"]
        connection.execute("PRAGMA busy_timeout = 0")

    def start(self, commits: list[Sequence[Operation]]) -> Group | None:
        """Make the changes of the commits without waiting; `finish` makes them durable.

        Nothing waits for the disk, because pages that were read before are in memory. Returns None
        on failure. Nothing is changed then, and `apply` finds the reason."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            return self._write(commits)
        except (sqlite3.Error, MemoryError, OverflowError):
            self.rollback()
            return None

    def apply(self, commits: list[Sequence[Operation]]) -> Group:
        """Make the commits durable in one transaction, or each in its own if one of them makes it
        fail."""
        try:
            self.begin()
        except sqlite3.Error as error:
            return self._failed(commits, translate(error, self._path))
        try:
            group = self._write(commits)
        except (sqlite3.Error, MemoryError, OverflowError) as error:
            self.rollback()
            if len(commits) > 1:
                return self._each(commits)
            return self._failed(commits, self._error(error))
        return self.finish(commits, group)

    def begin(self) -> None:
        """Begin a transaction, after waiting for another program's lock."""
        self._connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        finally:
            self._connection.execute("PRAGMA busy_timeout = 0")

    def finish(self, commits: list[Sequence[Operation]], group: Group) -> Group:
        """Make the started changes durable."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            return self._settle(commits, group, translate(error, self._path))
        self.revision = group.revision
        self._free_space.committed()
        return group

    def rollback(self) -> None:
        """Roll back the transaction, if there is one."""
        self._free_space.rolled_back()
        if self._connection.in_transaction:  # after some errors SQLite has already rolled back
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _write(self, commits: list[Sequence[Operation]]) -> Group:
        outcomes: list[int | StorageError] = []
        events: list[Event] = []
        revision = self.revision
        self._free_space.measure()
        for commit in commits:
            try:
                changes = statements.apply(self._connection, commit, revision + 1, self._free_space)
            except (Conflict, Full) as error:
                outcomes.append(error)
                continue
            if changes:
                revision += 1
                events += changes
            outcomes.append(revision)
        if events:
            self._connection.execute("UPDATE meta SET value = ? WHERE name = 'revision'", (revision,))
        return Group(outcomes, revision, events)

    def _each(self, commits: list[Sequence[Operation]]) -> Group:
        groups = [self.apply([commit]) for commit in commits]
        return Group([o for group in groups for o in group.outcomes], self.revision, [e for group in groups for e in group.events])

    def _settle(self, commits: list[Sequence[Operation]], group: Group, error: StorageError) -> Group:
        """Find out whether a failed COMMIT was applied, and return the group accordingly.

        Watches must not miss applied changes. The callers have to read in either case."""
        self.rollback()
        with suppress(sqlite3.Error):
            if meta(self._connection)["revision"] == group.revision > self.revision:
                self.revision = group.revision
                unknown = Unavailable(str(error)) if isinstance(error, Full) else error
                return Group([unknown] * len(commits), group.revision, group.events)
        return self._failed(commits, error)

    def _failed(self, commits: list[Sequence[Operation]], error: StorageError) -> Group:
        self._free_space.short |= isinstance(error, Full)
        return Group([error] * len(commits), self.revision, [])

    def _error(self, error: Exception) -> StorageError:
        if isinstance(error, sqlite3.Error):
            return translate(error, self._path)
        return Unavailable(f"{self._path}: {type(error).__name__}: {error}; nothing of the commit was applied")
