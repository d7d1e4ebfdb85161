"""Process whole database files: back up a database in use, restore one, and raise a revision.

Everything here blocks; nothing uses an event loop. A file is replaced in one step by a new one that
was written beside it, checked and made durable. After a crash either the old or the new file
exists.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from storage.base import Corrupt, StorageError, Unavailable
from storage.sqlite.errors import corrupt, translate
from storage.sqlite.lock import FileLock
from storage.sqlite.schema import check_sound, connect, copy, has_tables, meta, prepare

MARGIN = 100_000_000
"""The number of revisions skipped at a restore.

It allows for more than a thousand commits a second in the day since the backup."""

_MOST = 1 << 46  # a revision is stored in 47 bits of an ID


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a database file: the number of keys, and the revision."""

    keys: int
    revision: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The outcome of a restore.

    `backup` is the backup's content, and `revision` the revision from which the database continues.
    `replaced` is the new path of the database that was there before, or None."""

    backup: Contents
    revision: int
    replaced: Path | None


def backup(path: Path, target: Path, *, without: Collection[str] = (), servers: str = "", allow_empty: bool = True) -> Contents:
    """Copy the state and history of a database at one moment to a new file with mode 0600.

    A server may be using the database. On a read-only volume, a server must be using it. The copy
    contains nothing that was deleted, and no value, past or present, of the keys `without`. On
    return, the copy is checked and durable. Raises Corrupt, or Unavailable if `path` is missing,
    `target` exists, or the copy has no objects and `allow_empty` is false. Keys that begin with
    `servers` are no objects (see has_objects)."""
    whole, draft = (target.with_name(f".{target.name}.{os.getpid()}.{kind}") for kind in ("whole", "draft"))
    with _errors(path, target):
        if target.exists():
            raise Unavailable(f"{target} exists: name a new file")
        try:
            with closing(_open_for_backup(path)) as connection:
                copy(connection, whole)
            with closing(connect(whole)) as copied:
                _examine(copied, path)
                _drop(copied, without)
                _write_out(copied, draft)
            with closing(connect(draft)) as written:
                contents = _examine(written, path)
                empty = not _has_objects(written, servers)
            if empty and not allow_empty:
                raise Unavailable(
                    f"{path} has no objects, but its newest backup has some: all backups stay as they are. If the objects were lost, "
                    "restore that backup; if they were deleted on purpose, name an empty folder for new backups"
                )
            _sync(draft)
            os.link(draft, target)  # fails if another process has created it meanwhile
            _sync(target.parent)
        finally:
            _discard(whole)
            _discard(draft)
    return contents


def _drop(connection: sqlite3.Connection, keys: Collection[str]) -> None:
    """Remove the keys with their history, and overwrite their bytes.

    The bytes of a deleted draft may remain readable on its disk."""
    connection.execute("PRAGMA journal_mode = OFF")  # a journal would contain them
    connection.execute("PRAGMA secure_delete = ON")
    for table in ("live", "changes"):
        connection.executemany(f"DELETE FROM {table} WHERE key = ?", [(key,) for key in keys])


def _write_out(connection: sqlite3.Connection, target: Path) -> None:
    """Write the database to a new file without the content of its free pages.

    The new file can be read on a read-only volume too."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection.execute("VACUUM INTO ?", (str(target),))


def restore(file: Path, path: Path, *, force: bool = False, margin: int = MARGIN) -> Restored:
    """Replace the database by a backup. No server may be using it (Unavailable).

    Revisions that were used since the backup must never be used again. The database therefore
    continues `margin` above the larger of two revisions: the backup's, and that of the replaced
    database. History up to there is compacted, so that clients that have seen lost states must list
    again.

    Without `force`, a database that has keys or cannot be read is left unchanged (Unavailable).
    With `force`, it is moved to a file beside it and never deleted. Raises Corrupt if the backup is
    damaged."""
    path = path.resolve()
    with _errors(file, path), _locked(path):
        if path.exists() and file.samefile(path):
            raise Unavailable(f"{file} is the database itself: name a backup of it")
        before = _contents(path)
        if not force and (before is None or before.keys):
            state = "cannot be read" if before is None else f"has {before.keys} keys"
            raise Unavailable(f"{path} is there and {state}: name another file, or give --force to move it aside")
        replaced, draft = None, path.with_name(f".{path.name}.restoring")
        _discard(draft)  # left over from an interrupted restore
        try:
            with closing(_open_existing(file, "ro")) as connection:
                contents = _examine(connection, file)
                _check_room(file, path)
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


def _check_room(file: Path, path: Path) -> None:
    need, free = file.stat().st_size, shutil.disk_usage(path.parent).free
    if free < need:
        earlier = "".join(
            f" An earlier restore left {aside.name}: `restore --discard-replaced` with the same --storage deletes it."
            for aside in replaced_files(path)
        )
        raise Unavailable(
            f"{path}: there is no room beside it for the backup, which takes {need >> 20}Mi, and {free >> 20}Mi are free. Nothing was "
            f"changed: enlarge the volume.{earlier}"
        )


def replaced_files(path: Path) -> list[Path]:
    """Return the databases that restores of `path` have set aside."""
    name = re.compile(rf"{re.escape(path.name)}\.replaced(-\d+)?")
    return sorted(file for file in path.resolve().parent.iterdir() if name.fullmatch(file.name))


def discard_replaced(path: Path) -> list[Path]:
    """Delete the databases that restores of `path` have set aside, and return them.

    Raises Unavailable if there is no database at `path`, because one of the deleted databases would
    be the last."""
    with _errors(path, path):
        if not path.is_file():
            raise Unavailable(f"{path}: there is no database here, so nothing that was set aside is deleted: restore a backup first")
        found = replaced_files(path)
        for file in found:
            _discard(file)
            _sync(file.parent)
    return found


def has_objects(file: Path, servers: str = "") -> bool:
    """Return whether a database has keys of objects, after a complete check.

    Servers store keys of their own that begin with `servers` as soon as they start; "" if there are
    none. Raises Corrupt or Unavailable."""
    with _errors(file, file), closing(_open_existing(file, "ro")) as connection:
        _examine(connection, file)
        return _has_objects(connection, servers)


def _has_objects(connection: sqlite3.Connection, servers: str) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM live WHERE ?1 = '' OR substr(key, 1, length(?1)) <> ?1)"
    return bool(connection.execute(query, (servers,)).fetchone()[0])


def raise_revision(path: Path, revision: int) -> None:
    """Make the next commit's revision larger than `revision`.

    No server may be using the database, which is created if missing."""
    path = path.resolve()
    with _errors(path, path), _locked(path):
        _lift(path, revision, forget=False)


def _lift(path: Path, revision: int, *, forget: bool) -> None:
    if revision > _MOST:
        raise ValueError(f"revision {revision} is too large: {_MOST} is the largest that leaves room for further revisions")
    with closing(connect(path)) as connection:
        prepare(connection, path)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'revision'", (revision,))
        if forget:
            connection.execute("UPDATE meta SET value = ? WHERE name = 'compacted'", (revision,))
        connection.execute("COMMIT")


def _examine(connection: sqlite3.Connection, path: Path) -> Contents:
    """Return the content after a complete check. Raises Corrupt."""
    if not has_tables(connection, path):
        raise corrupt(path, "it is empty")
    check_sound(connection, path, "integrity_check")
    return Contents(connection.execute("SELECT count(*) FROM live").fetchone()[0], meta(connection)["revision"])


def _contents(path: Path) -> Contents | None:
    """Return the content at a path that may not exist, or None if it cannot be read."""
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


def _open_for_backup(path: Path) -> sqlite3.Connection:
    """Open the database of a server, also on a volume that is mounted read-only.

    SQLite reads a write-ahead log through an index beside it. It creates the index, unless a server
    has done so."""
    if is_writable(path):
        return _open_existing(path, "rw")
    if path.is_file() and path.stat().st_size and not path.with_name(f"{path.name}-wal").exists():
        raise Unavailable(
            f"{path}: nothing can be written beside it, and no server has it open: start the server, or use a volume that is not read-only"
        )
    return _open_existing(path, "ro")


def is_writable(path: Path) -> bool:
    """Return whether the file, and others beside it, can be written."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _set_aside(path: Path) -> Path:
    """Move a database and its companion files to unused names."""
    number, aside = 1, path.with_name(f"{path.name}.replaced")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.replaced-{number}")
    # Move the database first: SQLite deletes a -wal that has no database. In the opposite order, a
    # crash would lose the last commits.
    for suffix in ("", "-wal", "-shm"):
        if (part := path.with_name(path.name + suffix)).exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def _discard(path: Path) -> None:
    """Remove a database and its companion files, if they exist."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Make the content of a file, or the entries of a directory, durable."""
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
