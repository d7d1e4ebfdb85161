"""Measure how much a database may still grow, and keep the last part of the room for deletions.

Both the database's own limit and the disk limit the room. A commit that makes the stored data
larger is refused before the file is full. A commit that replaces a value by one of about the same
size takes room only until history is compacted, and a deletion gives room back. Both may use the
reserve, so that a full store can be emptied through the API, and controllers can record their
progress on deletions. Use a Room for one connection, inside its transactions.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from storage.base import Full

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["LITTLE", "Room"]

RESERVE = 64 << 20
"""The largest size of the reserve, in bytes."""
OF_LIMIT, OF_DISK = 8, 16
"""The divisors that give the reserve of a small limit, and of a small disk."""
LITTLE = 4096
"""The largest growth in bytes of a commit that may use the first half of the reserve.

It suffices for a mark, a timestamp or a condition."""
SHORT = 2 << 20
"""The distance in bytes from the reserve at which room is short.

History is then compacted before any commit is refused."""
LOOK = 64 << 10
"""The number of bytes written after which the room is measured again."""


class _Part(NamedTuple):
    """The bytes left by the limit or on the disk, and the reserve among them."""

    left: int
    reserve: int


class Room:
    """The room of one database file.

    `limit` is the largest size of the file in bytes, 0 for the size of the disk. `used` is the
    number of bytes in use. `short` is true if little is left before the reserve, so that history
    must be compacted."""

    def __init__(self, connection: sqlite3.Connection, path: Path, limit: int) -> None:
        self._connection, self._path, self.limit = connection, path, limit
        self._page: int = connection.execute("PRAGMA page_size").fetchone()[0]
        self.used, self.short = 0, False
        self._written = LOOK
        # bytes before the reserve begins, and before its second half begins
        self._free, self._half = 0, 0

    def look(self) -> None:
        """Measure the room if enough was written since the last measurement."""
        if self._written < LOOK and not self.short:
            return
        self._written = 0
        pages, unused = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] * self._page for name in ("page_count", "freelist_count"))
        self.used = pages - unused
        parts = [self._disk(unused)]
        if self.limit:
            parts.append(_Part(self.limit - self.used, min(RESERVE, self.limit // OF_LIMIT)))
        self._free = min(part.left - part.reserve for part in parts)
        self._half = min(part.left - part.reserve // 2 for part in parts)
        self.short = any(part.left - part.reserve <= min(SHORT, part.reserve // 2) for part in parts)

    def _disk(self, unused: int) -> _Part:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:  # the next write reports the error
            return _Part(sys.maxsize, 0)
        return _Part(disk.f_bavail * disk.f_frsize + unused, min(RESERVE, disk.f_blocks * disk.f_frsize // OF_DISK))

    def take(self, written: int, growth: int) -> None:
        """Take `written` bytes for a commit that makes the stored data `growth` bytes larger.
        Raises Full."""
        if growth > 0 and growth > (self._half if growth <= LITTLE else self._free):
            self.short = True
            raise full(self._path, "what is left is kept for deletions")
        self._free -= written
        self._half -= written
        self._written += written


def full(path: Path, why: str) -> Full:
    """Return the error for a file that has no room."""
    return Full(
        f"{path}: {why}: there is no room. Delete what is not needed, free space on its disk, or raise --storage-max-bytes; "
        "nothing is lost, and writes are accepted again as soon as there is room"
    )
