"""Convert SQLite's errors into errors of a Store that say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from storage.base import Corrupt, StorageError, Unavailable
from storage.sqlite.freespace import full

_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_WAY_OUT = {
    sqlite3.SQLITE_READONLY: "it is not writable: check the file's and its directory's permissions, and whether the disk is read-only",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that the directory exists and that its permissions let this user write there",
    sqlite3.SQLITE_IOERR: "its disk reports errors: check the system's log",
    sqlite3.SQLITE_BUSY: "another program holds it locked: end that program",
    sqlite3.SQLITE_TOOBIG: "a value is too big for it",
}


def corrupt(path: Path, finding: str) -> Corrupt:
    """Return the error for a file that cannot be trusted."""
    return Corrupt(
        f"{path}: {finding}. Stop this server, move the file and its -wal and -shm away, put a backup in its place "
        "(metal3-workloads restore), and start again.",
        finding=f"{path}: {finding}",
    )


def translate(error: sqlite3.Error, path: Path) -> StorageError:
    """Return the corresponding StorageError."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
    if code == sqlite3.SQLITE_FULL:
        return full(path, str(error))
    if code in _CORRUPT:
        return corrupt(path, str(error))
    return Unavailable(f"{path}: {error}: {_WAY_OUT.get(code, 'see the message; the data is as the last acknowledged commit left it')}")
