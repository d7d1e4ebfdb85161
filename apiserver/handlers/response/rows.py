"""Cache an object's table row beside the object (Entry.row).

The cache holds the constant part, and the whole row until one of its ages changes. The constant
part consists of the encoded cells, and the position of the metadata in the object's JSON. It is
computed once, at the first use for a table or a metadata list. Timestamps are kept as placeholders
between \\x01 bytes, which JSON always escapes, and are rendered as ages for each response.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from apiserver.handlers.response.age import FOREVER, aging
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.resource import Column, Resource

MARK = b"\x01"
"""The mark around a time that is rendered as an age. JSON escapes it."""
DATE = re.compile(b"%s([^%s]*)%s" % (MARK, MARK, MARK))
CACHED = 32 * 1024 * 1024
"""The bytes of whole rows after which the older ones are dropped."""
KEY = b'"metadata":'
AGE = Column(
    "Age",
    "metadata.creationTimestamp",
    "date",
    description="CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be "
    "set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in "
    "UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
)


def columns(resource: Resource) -> tuple[Column, ...]:
    """Return the kind's columns after the name: its own columns, or the age."""
    return resource.columns or (AGE,)


class Row:
    """The cached parts of a row.

    `whole` is the encoded row in the usual form (see table.rows), valid until `until`; None if it
    is not cached."""

    __slots__ = ("cells", "end", "start", "until", "whole")

    def __init__(self, cells: bytes, start: int, end: int) -> None:
        self.cells, self.start, self.end = cells, start, end
        self.whole: bytes | None = None
        self.until = 0.0

    def metadata(self, entry: Entry) -> bytes:
        """Return the encoded metadata, a slice of the object's JSON."""
        return entry.json[self.start : self.end]


class Ages:
    """Ages as of one moment, cached because objects often share a time.

    `until` is the time at which the first of the ages used in the last `fill` changes."""

    def __init__(self, now: float) -> None:
        self.now, self.until = now, FOREVER
        self._known: dict[bytes, tuple[bytes, float]] = {}

    def fill(self, cells: bytes) -> bytes:
        """Return the cells with their ages filled in."""
        self.until = FOREVER
        return DATE.sub(self._replace, cells)

    def _replace(self, mark: re.Match[bytes]) -> bytes:
        stamp = mark[1]
        found = self._known.get(stamp)
        if found is None:
            text, until = aging(stamp.decode(), self.now)
            found = self._known[stamp] = text.encode(), until
        self.until = min(self.until, found[1])
        return found[0]


class RowCache:
    """Bounds the memory of whole rows by dropping the older half repeatedly, even rows in use."""

    def __init__(self, limit: int = CACHED) -> None:
        self._limit, self._size = limit, 0
        self._older: list[Row] = []
        self._newer: list[Row] = []

    def add(self, row: Row, whole: bytes, until: float) -> None:
        """Keep the whole row until the time `until`."""
        row.whole, row.until = whole, until
        self._newer.append(row)
        self._size += len(whole)
        if self._size > self._limit:
            for old in self._older:
                old.whole = None
            self._older, self._newer, self._size = self._newer, [], 0


def row_of(resource: Resource, entry: Entry) -> Row:
    """Return the entry's row, which is created at the first use."""
    row = entry.row
    if not isinstance(row, Row):
        obj = entry.object()
        name = entry.name if resource.shown_name is None else resource.shown_name(obj)
        encoded = [orjson.dumps(name), *(_cell(column, column.of(obj)) for column in columns(resource))]
        # orjson wrote the stored bytes in this order, so encoding the metadata again yields the
        # same bytes.
        start = entry.json.index(KEY) + len(KEY)
        row = entry.row = Row(b"[%s]" % b",".join(encoded), start, start + len(orjson.dumps(obj["metadata"])))
    return row


def _cell(column: Column, value: Any) -> bytes:
    match column.type, value:
        case _, None:
            return b"null"
        case "date", str():
            return b'"%s%s%s"' % (MARK, orjson.dumps(value)[1:-1], MARK)
        case "string", str():
            return orjson.dumps(value)
        case "string", bool():
            return b'"true"' if value else b'"false"'
        case "string", _:
            return orjson.dumps(str(value) if isinstance(value, int | float) else orjson.dumps(value).decode())
        case "boolean", bool():
            return orjson.dumps(value)
        case "integer", int() | float() if not isinstance(value, bool):
            return orjson.dumps(int(value))
        case "number", int() | float() if not isinstance(value, bool):
            return orjson.dumps(value)
        case _:
            return b"null"
