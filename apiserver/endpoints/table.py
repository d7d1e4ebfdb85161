"""The Table form of meta.k8s.io, as kube-apiserver prints custom resources (apiextensions-apiserver's tableconvertor).

A row's cells are encoded once per object and kept in Entry.row; ages are left open there, between marks that no JSON
has, and filled in when the row is served.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.endpoints import metadata
from apiserver.endpoints.age import age
from apiserver.registry.resource import Column, lookup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apiserver.registry.entry import Entry
    from apiserver.registry.resource import Resource

__all__ = ["definitions", "rows", "table"]

DATE = re.compile(rb"\x01([^\x01]*)\x01")
AGE = Column(
    "Age",
    "metadata.creationTimestamp",
    "date",
    description="CreationTimestamp is a timestamp representing the server time "
    "when this object was created. It is not guaranteed to be set in happens-before order across separate operations.",
)
NAME_DESCRIPTION = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to "
    "request the generation of an appropriate name automatically. Cannot be updated."
)


def table(
    query: Mapping[str, str], resource: Resource, version: str, entries: Iterable[Entry], meta: Mapping[str, Any], *, headers: bool = True
) -> list[bytes]:
    """The encoded parts of a Table of these objects. `meta`: its ListMeta. Without `headers` there are no column definitions, as in
    all events of a watch but the first."""
    head = {"kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta}
    columns = orjson.dumps(definitions(resource) if headers else [])
    parts = [orjson.dumps(head)[:-1], b',"columnDefinitions":', columns, b',"rows":[']
    for row in rows(query, resource, version, entries):
        parts += row, b","
    if parts[-1] == b",":
        parts.pop()
    parts.append(b"]}")
    return parts


def definitions(resource: Resource) -> list[dict[str, Any]]:
    """The column definitions; Name comes first."""
    name = {"name": "Name", "type": "string", "format": "name", "description": NAME_DESCRIPTION, "priority": 0}
    return [
        name,
        *(
            {"name": c.name, "type": c.type, "format": c.format, "description": c.description, "priority": c.priority}
            for c in _columns(resource)
        ),
    ]


def rows(query: Mapping[str, str], resource: Resource, version: str, entries: Iterable[Entry]) -> Iterable[bytes]:
    """The encoded rows, with the current ages."""
    include = query.get("includeObject", "") or "Metadata"
    fill = _Ages(time.time())
    for entry in entries:
        cells = DATE.sub(fill, _cells(resource, entry))
        match include:
            case "None":
                yield b'{"cells":%s,"object":null}' % cells
            case "Metadata":
                yield b'{"cells":%s,"object":%s}' % (cells, metadata.partial(resource, entry, version))
            case _:
                yield b'{"cells":%s,"object":%s}' % (cells, entry.json)


class _Ages:
    """Replaces marked times by ages as of one moment; objects often share a time."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.known: dict[bytes, bytes] = {}

    def __call__(self, mark: re.Match[bytes]) -> bytes:
        stamp = mark[1]
        found = self.known.get(stamp)
        if found is None:
            found = self.known[stamp] = age(stamp.decode(), self.now).encode()
        return found


def _cells(resource: Resource, entry: Entry) -> bytes:
    if entry.row is None:
        entry.row = _encode_cells(resource, entry)
    return entry.row


def _encode_cells(resource: Resource, entry: Entry) -> bytes:
    obj = entry.object()
    cells = [orjson.dumps(entry.name), *(_cell(column, lookup(obj, column.path)) for column in _columns(resource))]
    return b"[%s]" % b",".join(cells)


def _cell(column: Column, value: Any) -> bytes:
    match column.type, value:
        case _, None:
            return b"null"
        case "date", str():
            return b'"\x01%s\x01"' % orjson.dumps(value)[1:-1]
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


def _columns(resource: Resource) -> tuple[Column, ...]:
    return resource.columns or (AGE,)
