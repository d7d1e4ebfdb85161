"""Remove compacted rows a few at a time, so that commits never wait long."""

from __future__ import annotations

import sqlite3

_BATCH = "SELECT id, previous, value IS NULL FROM changes WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"


def sweep(connection: sqlite3.Connection, swept: int, upto: int, limit: int) -> int:
    """Process up to `limit` changes with IDs greater than `swept` and up to `upto`.

    Removes the rows that these changes superseded, and the deletions themselves. Returns the ID
    reached, which is stored in the database too. Runs in the caller's transaction.

    The latest put of each key stays: it is the state at the compacted revision, and the previous
    value of later events."""
    rows = connection.execute(_BATCH, (swept, upto, limit)).fetchall()
    gone = [(previous,) for _, previous, _ in rows if previous is not None] + [(change,) for change, _, deletion in rows if deletion]
    connection.executemany("DELETE FROM changes WHERE id = ?", gone)
    reached: int = rows[-1][0] if len(rows) == limit else upto
    connection.execute("UPDATE meta SET value = ? WHERE name = 'swept'", (reached,))
    return reached
