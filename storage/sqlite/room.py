"""How much a database may still grow, by its own limit and by its disk, so that the last of the room is left for deleting.

A commit that makes what is stored larger is refused before the file is full. What replaces a value by one of about the same size takes room
for a while only, until history is compacted; what deletes gives room back. Both have the reserve, so that a store that is full can be
emptied through the API, and those who work on deletions can write that they do. For one connection, inside its transactions.
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
"""Bytes of the reserve, at most."""
OF_LIMIT, OF_DISK = 8, 16
"""The reserve is this part of a small limit, or of a small disk."""
LITTLE = 4096
"""Bytes by which a commit may grow what is stored and still have the first half of the reserve: a mark, a time, a condition."""
SHORT = 2 << 20
"""Bytes before the reserve with which room is short: history goes before a commit is refused."""
LOOK = 64 << 10
"""Bytes written after which the room is measured anew."""


class _Part(NamedTuple):
    """What is left by the limit, or on the disk, and what of it is the reserve."""

    left: int
    reserve: int


class Room:
    """`limit`: bytes that the file may have; 0: as many as the disk has. `used`: bytes of it in use. `short`: not much is left before the
    reserve, so that history has to go."""

    def __init__(self, connection: sqlite3.Connection, path: Path, limit: int) -> None:
        self._connection, self._path, self.limit = connection, path, limit
        self._page: int = connection.execute("PRAGMA page_size").fetchone()[0]
        self.used, self.short = 0, False
        self._written = LOOK
        self._free, self._half = 0, 0  # bytes before the reserve begins, and before its second half does

    def look(self) -> None:
        """Measure, if that was long ago."""
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
        except OSError:  # the next write says what is wrong
            return _Part(sys.maxsize, 0)
        return _Part(disk.f_bavail * disk.f_frsize + unused, min(RESERVE, disk.f_blocks * disk.f_frsize // OF_DISK))

    def take(self, written: int, growth: int) -> None:
        """Take room for a commit that writes so many bytes, and makes what is stored larger by `growth`. Raises Full."""
        if growth > 0 and growth > (self._half if growth <= LITTLE else self._free):
            self.short = True
            raise full(self._path, "what is left is kept for deletions")
        self._free -= written
        self._half -= written
        self._written += written


def full(path: Path, why: str) -> Full:
    """The error for a file that has no room."""
    return Full(
        f"{path}: {why}: there is no room. Delete what is not needed, free space on its disk, or raise --storage-max-bytes; "
        "nothing is lost, and it goes on by itself"
    )
