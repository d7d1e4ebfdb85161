"""Apply a commit, and read states and history, inside a transaction of the caller."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from storage.base import Check, Compacted, Conflict, Event, FutureRevision, KeyValue, Operation, Page, Priority, Put
from storage.keys import prefix_end
from storage.sqlite.freespace import FreeSpace, Size
from storage.sqlite.schema import ORDINAL_BITS, first_id, last_id, meta, revision_of

_PAGE_BYTES = 4 << 20
"""The number of bytes of values after which a page ends."""
_BEHIND_ALL_TEXT = b""  # SQLite orders any blob after every text
_LIVE = "SELECT changes.id, changes.value FROM live JOIN changes USING (id) WHERE live.key = ?"
_INSERT = "INSERT INTO changes (id, key, value, previous) VALUES (?, ?, ?, ?)"
_SET_LIVE = "INSERT INTO live (key, id) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET id = excluded.id"
_UNSET_LIVE = "DELETE FROM live WHERE key = ?"
_LIST = """SELECT live.key, changes.value, live.id FROM live JOIN changes USING (id)
    WHERE live.key >= :low AND live.key < :end ORDER BY live.key LIMIT :limit"""
# The latest change of each key up to :at. With the index order, the cost of a page depends on its
# own rows, not on the rows that follow.
_LIST_AT = """SELECT key, value, id FROM changes INDEXED BY changes_by_key
    WHERE key >= :low AND key < :end AND id <= :at AND value IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM changes AS newer INDEXED BY changes_by_key WHERE newer.key = changes.key AND newer.id > changes.id AND newer.id <= :at
    ) ORDER BY key LIMIT :limit"""
# NOT INDEXED keeps the order of id, even if the index by key would leave fewer rows to sort.
_HISTORY = """SELECT new.id, new.key, new.value, old.value FROM changes AS new NOT INDEXED LEFT JOIN changes AS old ON old.id = new.previous
    WHERE new.id > :after AND new.id <= :upto AND new.key >= :low AND new.key < :end ORDER BY new.id LIMIT :limit"""
_SIZES = f"""SELECT new.id >> {ORDINAL_BITS}, length(old.value) FROM changes AS new NOT INDEXED JOIN changes AS old ON old.id = new.previous
    WHERE new.id > ? ORDER BY new.id"""


def apply(connection: sqlite3.Connection, operations: Sequence[Operation], revision: int, free_space: FreeSpace) -> list[Event]:
    """Make the commit's changes under `revision` and return them, possibly none.

    After Conflict or Full nothing was written."""
    states: list[tuple[int, bytes] | None] = []
    for operation in operations:
        state = connection.execute(_LIVE, (operation.key,)).fetchone()
        actual = revision_of(state[0]) if state else 0
        if operation.expected is not None and operation.expected != actual:
            raise Conflict(operation.key, operation.expected, actual)
        states.append(state)
    free_space.take(_size(operations, states))
    events: list[Event] = []
    for operation, state in zip(operations, states, strict=True):
        if isinstance(operation, Check) or (state is None and not isinstance(operation, Put)):
            continue
        change = first_id(revision) + len(events)
        before, previous = state or (None, None)
        if isinstance(operation, Put):
            connection.execute(_INSERT, (change, operation.key, operation.value, before))
            connection.execute(_SET_LIVE, (operation.key, change))
        else:
            connection.execute(_INSERT, (change, operation.key, None, before))
            connection.execute(_UNSET_LIVE, (operation.key,))
        events.append(_event(change, operation.key, operation.value if isinstance(operation, Put) else None, previous))
    return events


def _size(operations: Sequence[Operation], states: Sequence[tuple[int, bytes] | None]) -> Size:
    """Return the commit's effect on the stored data, for FreeSpace.take."""
    pairs = [pair for pair in zip(operations, states, strict=True) if not isinstance(pair[0], Check)]
    puts = [operation for operation, _ in pairs if isinstance(operation, Put)]
    written = sum(len(put.value) for put in puts)
    replaced = sum(len(state[1]) for _, state in pairs if state)
    created = sum(state is None and isinstance(operation, Put) for operation, state in pairs)
    deleted = sum(state is not None and not isinstance(operation, Put) for operation, state in pairs)
    priorities = {put.priority for put in puts} | ({Priority.CLIENT} if created else set())
    priority = Priority.CLIENT if Priority.CLIENT in priorities else max(priorities, default=Priority.RELEASE)
    return Size(written, written - replaced, created - deleted, priority)


def get(connection: sqlite3.Connection, key: str) -> KeyValue | None:
    """Return the latest state of a key, or None."""
    row = connection.execute(_LIVE, (key,)).fetchone()
    return row and KeyValue(key, row[1], revision_of(row[0]))


def list_page(connection: sqlite3.Connection, prefix: str, start: str | None, limit: int, at: int) -> Page:
    """Return a page of keys. See Store.list."""
    counters = meta(connection)
    revision = at or counters["revision"]
    if revision > counters["revision"]:
        raise FutureRevision(revision, counters["revision"])
    if revision < counters["compacted"]:
        raise Compacted(revision, counters["compacted"])
    statement = _LIST if revision == counters["revision"] else _LIST_AT
    count = limit + 1 if limit else -1
    rows = connection.execute(statement, _range(prefix, start) | {"limit": count, "at": last_id(revision)})
    found, more = _some(rows, limit, 1) if limit else (rows.fetchall(), False)
    return Page([KeyValue(key, value, revision_of(change)) for key, value, change in found], revision, more)


def history(connection: sqlite3.Connection, prefix: str, after: int, upto: int, limit: int) -> tuple[list[tuple[int, Event]], bool]:
    """Return up to `limit` changes with IDs greater than `after` and up to `upto`, with their IDs.

    The second result is true if there may be more. Raises Compacted if some are gone."""
    compacted = meta(connection)["compacted"]
    needed = revision_of(after + 1)  # the first revision of which changes are requested
    if needed <= compacted:
        raise Compacted(needed - 1, compacted)
    rows, more = _some(connection.execute(_HISTORY, _range(prefix) | {"after": after, "upto": upto, "limit": limit + 1}), limit, 2, 3)
    return [(change, _event(change, key, value, previous)) for change, key, value, previous in rows], more


def history_sizes(connection: sqlite3.Connection) -> Iterable[tuple[int, int]]:
    """Return the revisions that are not compacted, each with the bytes that its changes
    replaced."""
    return connection.execute(_SIZES, (last_id(meta(connection)["compacted"]),))


def _some(rows: Iterable[Any], limit: int, *values: int) -> tuple[list[Any], bool]:
    """Return the first rows, and whether there are more.

    There is at least one row, then up to `limit` rows and _PAGE_BYTES bytes in the columns
    `values`."""
    found: list[Any] = []
    size = 0
    for row in rows:
        if len(found) == limit or size > _PAGE_BYTES:
            return found, True
        found.append(row)
        size += sum(len(row[column] or b"") for column in values)
    return found, False


def _event(change: int, key: str, value: bytes | None, previous: bytes | None) -> Event:
    if value is not None:
        return Event("put", key, value, revision_of(change), previous)
    return Event("delete", key, previous or b"", revision_of(change), previous)


def _range(prefix: str, start: str | None = None) -> dict[str, Any]:
    return {"low": max(prefix, start or ""), "end": prefix_end(prefix) or _BEHIND_ALL_TEXT}
