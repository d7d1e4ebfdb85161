"""What the watch cache keeps per object: the JSON as it is served, and what selectors look at. Made once per write.

Stored values are the object's JSON without resourceVersion, in the order apiVersion, kind, metadata, so that the
revision can be spliced into the bytes without parsing them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.registry.resource import Resource

__all__ = ["Entry", "decoder", "encode_stored", "unversioned"]


class Entry:
    """One object at one revision. Immutable but for `row`, a cache of the encoded table row."""

    __slots__ = ("fields", "json", "key", "labels", "name", "namespace", "revision", "row")

    def __init__(
        self, key: str, namespace: str, name: str, revision: int, json: bytes, labels: dict[str, str], fields: dict[str, str]
    ) -> None:
        self.key, self.namespace, self.name, self.revision = key, namespace, name, revision
        self.json, self.labels, self.fields = json, labels, fields
        self.row: bytes | None = None

    def object(self) -> dict[str, Any]:
        """The object, decoded anew: the caller may change it."""
        value: dict[str, Any] = orjson.loads(self.json)
        return value


def unversioned(entry: Entry) -> Entry:
    """The same without its resourceVersion, which stands at the head of the metadata: of what is not stored."""
    json = entry.json.replace(b'"resourceVersion":"%d",' % entry.revision, b"", 1)
    return Entry(entry.key, entry.namespace, entry.name, entry.revision, json, entry.labels, entry.fields)


def encode_stored(resource: Resource, obj: dict[str, Any]) -> bytes:
    """The bytes to store for an object: typed, in the fixed order, without resourceVersion."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    rest = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    return orjson.dumps({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **rest})


def decoder(resource: Resource, reduce: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> Callable[[str, bytes, int], Entry]:
    """The decode function of the resource's collection. `reduce`: what to leave of each object (it may change what it is given)."""
    head = orjson.dumps({"apiVersion": resource.api_version, "kind": resource.kind})[:-1] + b',"metadata":{'

    def decode(key: str, value: bytes, revision: int) -> Entry:
        if not value.startswith(head):
            raise ValueError(f"{key}: the stored value is not a {resource.kind} of {resource.api_version}")
        obj = orjson.loads(value)
        if reduce is not None:
            obj = reduce(obj)
            value = encode_stored(resource, obj)
        metadata = obj["metadata"]
        json = b'%s"resourceVersion":"%d",%s' % (head, revision, value[len(head) :])
        labels = metadata.get("labels") or {}
        return Entry(key, metadata.get("namespace", ""), metadata["name"], revision, json, labels, resource.selectable(obj))

    return decode
