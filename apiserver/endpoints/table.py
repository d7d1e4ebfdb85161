"""The Table form of meta.k8s.io, as kube-apiserver prints custom resources (apiextensions-apiserver's tableconvertor).

The cells come encoded from apiserver.endpoints.rows; here the ages are filled in and the parts put together.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.endpoints import metadata
from apiserver.endpoints.age import age
from apiserver.endpoints.rows import MARK, cells, columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apiserver.registry.entry import Entry
    from apiserver.registry.resource import Resource

__all__ = ["definitions", "rows", "table"]

DATE = re.compile(b"%s([^%s]*)%s" % (MARK, MARK, MARK))
NAME_DESCRIPTION = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to "
    "request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration "
    "definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)


def table(
    query: Mapping[str, str], resource: Resource, version: str, entries: Iterable[Entry], meta: Mapping[str, Any], *, headers: bool = True
) -> list[bytes]:
    """The encoded parts of a Table of these objects (see respond.stream). `meta`: its ListMeta. Without `headers` there are no column
    definitions, as in all events of a watch but the first."""
    head = {"kind": "Table", "apiVersion": f"meta.k8s.io/{version}", "metadata": meta}
    heads = orjson.dumps(definitions(resource) if headers else None)
    parts = [orjson.dumps(head)[:-1] + b',"columnDefinitions":' + heads + b',"rows":[']
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
            for c in columns(resource)
        ),
    ]


def rows(query: Mapping[str, str], resource: Resource, version: str, entries: Iterable[Entry]) -> Iterable[bytes]:
    """The encoded rows, with the current ages."""
    include = query.get("includeObject", "") or "Metadata"
    fill = _Ages(time.time())
    for entry in entries:
        filled = DATE.sub(fill, cells(resource, entry))
        match include:
            case "None":
                yield b'{"cells":%s,"object":null}' % filled
            case "Metadata":
                yield b'{"cells":%s,"object":%s}' % (filled, metadata.partial(resource, entry, version))
            case _:
                yield b'{"cells":%s,"object":%s}' % (filled, entry.json)


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
