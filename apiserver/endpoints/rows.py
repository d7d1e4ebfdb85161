"""What Entry.row keeps: the encoded cells of an object's table row, and where its metadata ends in its JSON.

Both are found in one decoding, at the first need, and serve tables and metadata lists without another. Times that are
shown as ages are left open between marks that no JSON has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from apiserver.registry.resource import Column, lookup

if TYPE_CHECKING:
    from apiserver.registry.entry import Entry
    from apiserver.registry.resource import Resource

__all__ = ["AGE", "MARK", "cells", "columns", "metadata"]

MARK = b"\x01"
"""Around a time that is to become an age. JSON escapes it."""
SEPARATOR = b"\x02"
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
    """The kind's columns behind the name: its own, or the age."""
    return resource.columns or (AGE,)


def cells(resource: Resource, entry: Entry) -> bytes:
    """The encoded list of cells, ages left open."""
    return _row(resource, entry).partition(SEPARATOR)[2]


def metadata(resource: Resource, entry: Entry) -> bytes:
    """The encoded metadata: a slice of the object's JSON."""
    start = entry.json.index(KEY) + len(KEY)
    length = int(_row(resource, entry).partition(SEPARATOR)[0])
    return entry.json[start : start + length]


def _row(resource: Resource, entry: Entry) -> bytes:
    if entry.row is None:
        obj = entry.object()
        encoded = [orjson.dumps(entry.name), *(_cell(column, lookup(obj, column.path)) for column in columns(resource))]
        # What is stored was written by orjson in this very order, so that writing it again gives the same bytes.
        entry.row = b"%d%s[%s]" % (len(orjson.dumps(obj["metadata"])), SEPARATOR, b",".join(encoded))
    return entry.row


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
