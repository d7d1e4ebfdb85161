"""Define the database's tables, open connections, and check a database before it is trusted.

changes(id, key, value, previous)  every change that is not compacted.
                                   id = revision << 16 | ordinal within the commit;
                                   value NULL: a deletion;
                                   previous: id of the put it replaced, NULL for a creation
live(key, id)                      the keys that exist now, each with its latest change
meta(name, value)                  revision: the latest; compacted: history up to it is gone;
                                   swept: the id up to which compaction has removed rows
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Literal

from storage.sqlite.errors import corrupt

ORDINAL_BITS = 16
Synchronous = Literal["full", "normal", "off"]


def first_id(revision: int) -> int:
    """Return the smallest ID that a change of the revision can have."""
    return revision << ORDINAL_BITS


def last_id(revision: int) -> int:
    """Return the largest ID that a change of the revision can have."""
    return (revision + 1 << ORDINAL_BITS) - 1


def revision_of(change_id: int) -> int:
    """Return the revision of a change."""
    return change_id >> ORDINAL_BITS


_APPLICATION_ID = 0x6D33776B  # "m3wk"
_VERSION = 1
_TABLES = (
    "CREATE TABLE changes (id INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, previous INTEGER)",
    "CREATE INDEX changes_by_key ON changes (key, id)",
    "CREATE TABLE live (key TEXT PRIMARY KEY, id INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    f"INSERT INTO meta (name, value) VALUES ('revision', 1), ('compacted', 0), ('swept', {last_id(0)})",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)


def connect(path: Path, synchronous: Synchronous = "full", max_bytes: int = 0) -> sqlite3.Connection:
    """Return a connection in autocommit mode, for use by one thread at a time.

    Transactions are begun explicitly."""
    # Values may be secrets of tenants, so only this user may read the file. SQLite gives its -wal
    # and -shm the same mode. Never open an existing file: closing it would drop the locks that
    # other connections of this process hold on it (fcntl(2)). The next program that opens the
    # database would then consider itself the last one, and delete the -wal that we write to.
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA temp_store = MEMORY")
        if max_bytes:
            page_size = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page_size)}")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: sqlite3.Connection, path: Path, *, check: bool = True) -> None:
    """Create the tables in an empty file; otherwise check that they are ours and sound. Raises
    Corrupt."""
    tables = has_tables(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    if not tables:
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            connection.execute(statement)
        connection.execute("COMMIT")
    elif check:
        check_sound(connection, path)


def has_tables(connection: sqlite3.Connection, path: Path) -> bool:
    """Return False for an empty file.

    Raises Corrupt if the tables belong to another program or have another version."""
    application, version, tables = (
        connection.execute(query).fetchone()[0]
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
    )
    if tables and application != _APPLICATION_ID:
        raise corrupt(path, "this is a SQLite database of another program")
    if tables and version != _VERSION:
        raise corrupt(path, f"its schema has version {version}, this program knows version {_VERSION} (was it written by a newer one?)")
    return bool(tables)


def copy(connection: sqlite3.Connection, target: Path) -> None:
    """Copy the database, as of one moment, to a new file."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(target)) as copied:
        connection.backup(copied)


def meta(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the counters: revision, compacted and swept."""
    return dict(connection.execute("SELECT name, value FROM meta"))


def check_sound(connection: sqlite3.Connection, path: Path, pragma: Literal["quick_check", "integrity_check"] = "quick_check") -> None:
    """Raise Corrupt unless structure, counters and values agree.

    integrity_check also compares indexes with their tables."""
    finding = connection.execute(f"PRAGMA {pragma}(1)").fetchone()[0]
    if finding != "ok":
        raise corrupt(path, finding)
    counters = meta(connection)
    if counters.keys() != {"revision", "compacted", "swept"}:
        raise corrupt(path, "its counters are missing")
    newest = connection.execute("SELECT max(id) FROM changes").fetchone()[0] or 0
    if revision_of(newest) > counters["revision"]:
        raise corrupt(path, f"it has changes of revision {revision_of(newest)}, but the latest is {counters['revision']}")
    orphan = "SELECT live.key FROM live LEFT JOIN changes USING (id) WHERE changes.value IS NULL LIMIT 1"
    if (row := connection.execute(orphan).fetchone()) is not None:
        raise corrupt(path, f"the value of {row[0]} is missing")
