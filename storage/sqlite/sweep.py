"""Compaction, a few rows at a time, so that commits never wait long for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["sweep"]

_BATCH = "SELECT id, previous, value IS NULL FROM changes WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"


def sweep(connection: sqlite3.Connection, swept: int, upto: int, limit: int) -> int:
    """Look at up to `limit` changes with ids greater than `swept` and up to `upto`; remove what each superseded, and
    deletions themselves. Returns the id reached, which is kept in the database too. The caller's transaction.

    What stays of the compacted history is the latest put of each key: the state at that revision, and what later events
    name as the previous value."""
    rows = connection.execute(_BATCH, (swept, upto, limit)).fetchall()
    gone = [(previous,) for _, previous, _ in rows if previous is not None] + [(change,) for change, _, deletion in rows if deletion]
    connection.executemany("DELETE FROM changes WHERE id = ?", gone)
    reached: int = rows[-1][0] if len(rows) == limit else upto
    connection.execute("UPDATE meta SET value = ? WHERE name = 'swept'", (reached,))
    return reached
