"""Whole database files: a backup of one that may be in use, a restore, and a larger revision. No event loop; everything here blocks.

What replaces a file is written beside it, checked, made durable, and put in place in one step: a crash leaves the old or the new.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from storage.base import Corrupt, StorageError, Unavailable
from storage.sqlite.errors import corrupt, translate
from storage.sqlite.lock import FileLock
from storage.sqlite.schema import check_sound, connect, copy, has_tables, meta, prepare

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = ["MARGIN", "Contents", "Restored", "backup", "raise_revision", "restore"]

MARGIN = 100_000_000
"""Revisions left out at a restore: more than a thousand commits a second in the day since the backup."""

_MOST = 1 << 46  # a revision is kept in 47 bits of an id


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database file holds: so many keys, as of a revision."""

    keys: int
    revision: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did: the backup's contents, the revision it goes on from, and where the database that was there is now."""

    backup: Contents
    revision: int
    replaced: Path | None


def backup(path: Path, target: Path, *, without: Collection[str] = ()) -> Contents:
    """Copy the database, which a server may be using, as it is in one moment, with its history, to a new file of mode 0600.

    Nothing is in the copy that was deleted, nor the keys `without`, whatever values they ever had. It is checked and durable when this
    returns. Raises Corrupt, and Unavailable when one is missing or the other there."""
    whole, draft = (target.with_name(f".{target.name}.{os.getpid()}.{kind}") for kind in ("whole", "draft"))
    with _errors(path, target):
        if target.exists():
            raise Unavailable(f"{target} exists: name a new file")
        try:
            with closing(_open_existing(path, "rw")) as connection:
                copy(connection, whole)
            with closing(connect(whole)) as copied:
                _examine(copied, path)
                _drop(copied, without)
                _write_out(copied, draft)
            with closing(connect(draft)) as written:
                contents = _examine(written, path)
            _sync(draft)
            os.link(draft, target)  # fails when somebody else has made it meanwhile
            _sync(target.parent)
        finally:
            _discard(whole)
            _discard(draft)
    return contents


def _drop(connection: sqlite3.Connection, keys: Collection[str]) -> None:
    """Remove the keys with their history, and overwrite them: the file may lie where deleted files can be read."""
    connection.execute("PRAGMA journal_mode = OFF")  # a journal would hold them
    connection.execute("PRAGMA secure_delete = ON")
    for table in ("live", "changes"):
        connection.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys])


def _write_out(connection: sqlite3.Connection, target: Path) -> None:
    """Write what the database holds to a new file, and nothing of what its free pages hold. The file can be read where nothing may be
    written."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection.execute("VACUUM INTO ?", (str(target),))


def restore(file: Path, path: Path, *, force: bool = False, margin: int = MARGIN) -> Restored:
    """Put a backup in the database's place. No server may be using it (Unavailable).

    Revisions given out since the backup was made must never be given again: it goes on `margin` above the larger of the backup's
    revision and that of the database it replaces. History up to there is out of sight, so that whoever has seen what is
    no longer there has to list anew. Without `force`, a database that has keys, or cannot be read, is left alone (Unavailable);
    with it, that is moved to a file beside it, never deleted. Raises Corrupt when the backup is not sound."""
    path = path.resolve()
    with _errors(file, path), _locked(path):
        if path.exists() and file.samefile(path):
            raise Unavailable(f"{file} is the database itself: name a backup of it")
        before = _contents(path)
        if not force and (before is None or before.keys):
            state = "cannot be read" if before is None else f"has {before.keys} keys"
            raise Unavailable(f"{path} is there and {state}: name another file, or give --force to move it aside")
        replaced, draft = None, path.with_name(f".{path.name}.restoring")
        _discard(draft)  # of a restore that was interrupted
        try:
            with closing(_open_existing(file, "ro")) as connection:
                contents = _examine(connection, file)
                copy(connection, draft)
            revision = max(contents.revision, before.revision if before else 0) + margin
            _lift(draft, revision, forget=True)
            _sync(draft)
            if before is None or before.keys:
                replaced = _set_aside(path)
            else:
                _discard(path)
            os.replace(draft, path)
            _sync(path.parent)
        finally:
            _discard(draft)
    return Restored(contents, revision, replaced)


def raise_revision(path: Path, revision: int) -> None:
    """Let the next commit's revision be larger than `revision`. No server may be using the database, which is made when missing."""
    path = path.resolve()
    with _errors(path, path), _locked(path):
        _lift(path, revision, forget=False)


def _lift(path: Path, revision: int, *, forget: bool) -> None:
    if revision > _MOST:
        raise ValueError(f"revision {revision} is too large: {_MOST} is the largest that leaves room to go on")
    with closing(connect(path)) as connection:
        prepare(connection, path)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'revision'", (revision,))
        if forget:
            connection.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (revision,))
        connection.execute("COMMIT")


def _examine(connection: sqlite3.Connection, path: Path) -> Contents:
    """What is there, once everything about it is checked. Raises Corrupt."""
    if not has_tables(connection, path):
        raise corrupt(path, "it is empty")
    check_sound(connection, path, "integrity_check")
    return Contents(connection.execute("SELECT count(*) FROM live").fetchone()[0], meta(connection)["revision"])


def _contents(path: Path) -> Contents | None:
    """What is at a path that may have nothing; None when that cannot be told."""
    if not path.exists():
        return Contents(0, 0)
    try:
        with closing(_open_existing(path, "rw")) as connection:
            return _examine(connection, path) if has_tables(connection, path) else Contents(0, 0)
    except (sqlite3.Error, Corrupt):
        return None


def _open_existing(path: Path, mode: str) -> sqlite3.Connection:
    if not path.is_file():
        raise Unavailable(f"{path}: there is no such file: name the database")
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None, timeout=5.0)


def _set_aside(path: Path) -> Path:
    """Move a database and what belongs to it to names not used yet."""
    number, aside = 1, path.with_name(f"{path.name}.replaced")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.replaced-{number}")
    # The database first: without it, SQLite throws a -wal away. The other way round, its last commits would be lost in a crash.
    for suffix in ("", "-wal", "-shm"):
        if (part := path.with_name(path.name + suffix)).exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _discard(path: Path) -> None:
    """Remove a database, if it is there, and what belongs to it."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make a file's content, or a folder's entries, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(path.name + ".lock"))
    lock.acquire(str(path))
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _errors(source: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except StorageError:
        raise
    except sqlite3.Error as error:
        raise translate(error, source) from error
    except OSError as error:
        where = error.filename or target
        raise Unavailable(f"{where}: {error.strerror}: check that its folder exists, has room, and may be written to") from error
