"""Lock a database for one process.

SQLite itself would admit two processes, and each would miss the other's changes."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from storage.base import Unavailable


class FileLock:
    """A lock on the file `path`, which is created if missing and never removed.

    Removing the file would admit two owners. The kernel releases the lock when the process dies.
    The file contains the owner's process ID, which only messages use. `reason` tells their readers
    why there can be only one owner."""

    def __init__(self, path: Path, reason: str = "SQLite serves one server only; use etcd for several replicas.") -> None:
        self._path = path
        self._reason = reason
        self._file = -1

    def acquire(self, what: str) -> None:
        """Take the lock. Raises Unavailable at once if another process has it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            if not isinstance(error, BlockingIOError):
                raise
            raise Unavailable(f"{what} is in use by process {owner}: end that one first. {self._reason}") from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Release the lock. Calling this again has no effect."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
