"""Create the Table form of meta.k8s.io, as kube-apiserver prints custom resources.

Source: tableconvertor of apiextensions-apiserver. apiserver.handlers.response.rows caches the rows;
this module fills in ages and joins the parts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from apiserver.handlers.request.timebudget import TURNS
from apiserver.handlers.response import metadata
from apiserver.handlers.response.rows import Ages, Row, RowCache, columns, row_of
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.resource import Resource

STEP = 100
"""The number of rows to create before other requests get their turn."""
ROWS = RowCache()
NAME_DESCRIPTION = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to "
    "request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration "
    "definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)


def table(
    query: Mapping[str, str], resource: Resource, version: str, entries: Sequence[Entry], meta: Mapping[str, Any], *, headers: bool = True
) -> bytes:
    """Return the encoded Table of these objects. `meta` is its ListMeta.

    Without `headers` there are no column definitions, as in all events of a watch except the
    first."""
    made = rows(query, resource, version, entries)
    return b"%s%s]}" % (opened(resource, version, meta, headers=headers), b",".join(made))


async def rows_of_many(query: Mapping[str, str], resource: Resource, version: str, entries: Sequence[Entry]) -> list[bytes]:
    """Return the encoded rows of many objects. Other requests get their turns meanwhile."""
    made: list[bytes] = []
    turn = TURNS.begin()
    for start in range(0, len(entries), STEP):
        made += rows(query, resource, version, entries[start : start + STEP])
        await turn.checkpoint()
    return made


def opened(resource: Resource, version: str, meta: Mapping[str, Any], *, headers: bool = True) -> bytes:
    """Return a Table up to its first row."""
    head = {"kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta}
    heads = orjson.dumps(definitions(resource) if headers else None)
    return orjson.dumps(head)[:-1] + b',"columnDefinitions":' + heads + b',"rows":['


def definitions(resource: Resource) -> list[dict[str, Any]]:
    """Return the column definitions, of which Name is the first."""
    name = {"name": "Name", "type": "string", "format": "name", "description": NAME_DESCRIPTION, "priority": 0}
    return [
        name,
        *(
            {"name": c.name, "type": c.type, "format": c.format, "description": c.description, "priority": c.priority}
            for c in columns(resource)
        ),
    ]


def rows(query: Mapping[str, str], resource: Resource, version: str, entries: Iterable[Entry]) -> list[bytes]:
    """Return the encoded rows with the current ages."""
    ages = Ages(time.time())
    include = query.get("includeObject", "") or "Metadata"
    if include == "Metadata" and version == "v1":
        return [_usual(resource, entry, ages) for entry in entries]
    return [_row(resource, entry, ages, include, version) for entry in entries]


def _usual(resource: Resource, entry: Entry, ages: Ages) -> bytes:
    """Return the row in the form that kubectl requests, cached until one of its ages changes."""
    row = entry.row
    if isinstance(row, Row) and row.whole is not None and row.until > ages.now:
        return row.whole
    made = _row(resource, entry, ages, "Metadata", "v1")
    ROWS.add(row_of(resource, entry), made, ages.until)
    return made


def _row(resource: Resource, entry: Entry, ages: Ages, include: str, version: str) -> bytes:
    filled = ages.fill(row_of(resource, entry).cells)
    match include:
        case "None":
            return b'{"cells":%s,"object":null}' % filled
        case "Metadata":
            return b'{"cells":%s,"object":%s}' % (filled, metadata.partial(resource, entry, version))
        case _:
            return b'{"cells":%s,"object":%s}' % (filled, entry.json)
