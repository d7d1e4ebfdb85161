"""Measure how much a database may still grow, and reserve the last part for deletions.

The database's own limit and the free space of its disk bound the room. A commit that makes the
stored data larger is refused before the file is full. A commit that replaces a value by one of
about the same size takes room until history is compacted. A deletion frees room. Replacements and
deletions may use the reserve, so that a full store can be emptied through the API. Replacements
leave the last part of the reserve to releases. Without it, a release could fail until history is
compacted.

A client's write never grows into the reserve, however small it is: a tenant could exhaust the
reserve with many small writes. The consequences of clients' writes may use half of the reserve, but
leave MARK bytes for each key. Values may be replaced in five eighths of the reserve, and a release
may use three quarters.

Use a FreeSpace for one connection, inside its transactions.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import NamedTuple

from storage.base import Full, Priority

RESERVE = 64 << 20
"""The largest size of the reserve, in bytes."""
OF_LIMIT, OF_DISK = 8, 16
"""The divisors that give the reserve of a small limit, and of a small disk."""
LITTLE = 4096
"""The largest growth in bytes of a commit that may use the reserve.

It suffices for a mark, a timestamp or a condition."""
MARK = 256
"""The number of bytes that are kept for the deletion of each key, such as for its
deletionTimestamp."""
SHORT = 2 << 20
"""The distance in bytes from the reserve at which room is short.

History is then compacted before any commit is refused."""
LOOK = 64 << 10
"""The number of bytes written after which the room is measured again."""


class _Part(NamedTuple):
    """The bytes left by the limit or on the disk, and the reserve among them."""

    left: int
    reserve: int


class Size(NamedTuple):
    """The effect of a commit on the stored data.

    `written` and `growth` are in bytes. `keys` is the number of keys that the commit adds."""

    written: int
    growth: int
    keys: int
    priority: Priority


class FreeSpace:
    """The free space of one database file.

    `limit` is the largest size of the file in bytes, 0 for the size of the disk. `used` is the
    number of bytes in use. `short` is true if little is left before the reserve, so that history
    must be compacted."""

    def __init__(self, connection: sqlite3.Connection, path: Path, limit: int) -> None:
        self._connection, self._path, self.limit = connection, path, limit
        self._page: int = connection.execute("PRAGMA page_size").fetchone()[0]
        self.used, self.short = 0, False
        self._written = LOOK
        # bytes by which commits of each priority may still grow
        self._left = dict.fromkeys(Priority, 0)
        self._history = 0  # bytes that commits may still write, unless they release something
        self._keys: int = connection.execute("SELECT count(*) FROM live").fetchone()[0]
        self._adding = 0  # keys of the transaction that is not committed

    def measure(self) -> None:
        """Measure the room if enough was written since the last measurement."""
        if self._written < LOOK and not self.short:
            return
        self._written = 0
        pages, unused = (self._connection.execute(f"PRAGMA {name}").fetchone()[0] * self._page for name in ("page_count", "freelist_count"))
        self.used = pages - unused
        parts = [self._disk(unused)]
        if self.limit:
            parts.append(_Part(self.limit - self.used, min(RESERVE, self.limit // OF_LIMIT)))
        marks = self._keys * MARK
        free, half, history, last = (min(part.left - part.reserve * kept // 8 for part in parts) for kept in (8, 4, 3, 2))
        self._left = {Priority.CLIENT: free - marks, Priority.FOLLOWS: half - marks, Priority.RELEASE: last}
        self._history = history
        self.short = any(part.left - part.reserve - marks <= min(SHORT, part.reserve // 2) for part in parts)

    def _disk(self, unused: int) -> _Part:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:  # the next write reports the error
            return _Part(sys.maxsize, 0)
        return _Part(disk.f_bavail * disk.f_frsize + unused, min(RESERVE, disk.f_blocks * disk.f_frsize // OF_DISK))

    def take(self, size: Size) -> None:
        """Take the room for a commit. Raises Full."""
        left = self._left[size.priority if size.growth <= LITTLE else Priority.CLIENT]
        grows = size.growth > 0 and size.growth + MARK * max(size.keys, 0) > left
        if grows or (size.priority is not Priority.RELEASE and size.written > self._history):
            self.short = True
            raise full(self._path, "what is left is kept for deletions")
        for priority, bytes_left in self._left.items():
            marks = 0 if priority is Priority.RELEASE else MARK * size.keys
            self._left[priority] = bytes_left - size.written - marks
        self._history -= size.written
        self._written += size.written
        self._keys += size.keys
        self._adding += size.keys

    def committed(self) -> None:
        """Count the keys of the transaction as stored."""
        self._adding = 0

    def rolled_back(self) -> None:
        """Count the keys of the transaction as never stored."""
        self._keys -= self._adding
        self._adding = 0


def full(path: Path, why: str) -> Full:
    """Return the error for a file that has no room."""
    return Full(
        f"{path}: {why}: there is no room. Delete what is not needed, free space on its disk, or raise --storage-max-bytes; "
        "nothing is lost, and writes are accepted again as soon as there is room"
    )
