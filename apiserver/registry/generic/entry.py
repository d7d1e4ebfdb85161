"""Hold one object in the watch cache: the JSON that is served, and the labels and fields to select
by.

Entries are created once per write. Stored values are the object's JSON without resourceVersion, in
the order apiVersion, kind, metadata. So the revision can be inserted into the bytes without parsing
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from apiserver.apis.bounded import Bounded
from apiserver.registry.generic.resource import Resource

Change = Callable[[dict[str, Any]], dict[str, Any]]
"""A function that returns the object that replaces its argument. It does not modify the
argument."""
RECENT_WRITES = 16 * 1024 * 1024
"""The largest number of bytes of the recent writes of one kind."""
OVERHEAD, EACH = 1024, 256
"""The bytes of memory of an entry, and of each of its labels and fields, besides their text."""


class Entry:
    """One object at one revision.

    Entries are immutable except for `row`, where the handlers keep the object's table row."""

    __slots__ = ("fields", "json", "key", "labels", "name", "namespace", "revision", "row")

    def __init__(
        self, key: str, namespace: str, name: str, revision: int, json: bytes, labels: dict[str, str], fields: dict[str, str]
    ) -> None:
        self.key, self.namespace, self.name, self.revision = key, namespace, name, revision
        self.json, self.labels, self.fields = json, labels, fields
        self.row: object = None

    @property
    def overhead(self) -> int:
        """Return the approximate number of bytes of memory besides the JSON."""
        return OVERHEAD + EACH * (len(self.labels) + len(self.fields))

    def at(self, revision: int) -> Entry:
        """Return the entry with another resourceVersion."""
        json = self.json.replace(b'"resourceVersion":"%d"' % self.revision, b'"resourceVersion":"%d"' % revision, 1)
        return Entry(self.key, self.namespace, self.name, revision, json, self.labels, self.fields)

    def object(self) -> dict[str, Any]:
        """Return a new copy of the object, which the caller may change."""
        value: dict[str, Any] = orjson.loads(self.json)
        return value


def unversioned(entry: Entry) -> Entry:
    """Return the entry without resourceVersion, for an object that is not stored.

    The resourceVersion is the first member of the metadata."""
    json = entry.json.replace(b'"resourceVersion":"%d",' % entry.revision, b"", 1)
    return Entry(entry.key, entry.namespace, entry.name, entry.revision, json, entry.labels, entry.fields)


def encode_stored(resource: Resource, obj: dict[str, Any]) -> bytes:
    """Return the bytes to store for an object: with its type, in the fixed order, without
    resourceVersion."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    rest = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    return orjson.dumps({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **rest})


class RecentWrites:
    """Keeps the labels and fields of objects that were just encoded.

    With them, the cache does not decode these objects when the store returns their bytes. The size
    is bounded, because a refused write, or one that loses a race, is never read back."""

    def __init__(self) -> None:
        self._recent_writes: Bounded[str, tuple[bytes, EntryParts]] = Bounded(RECENT_WRITES)

    def keep(self, key: str, value: bytes, known: EntryParts) -> None:
        """Remember `known` for the bytes `value`, which are about to be stored at `key`."""
        self._recent_writes.put(key, (value, known), len(key) + len(value) + OVERHEAD + EACH * (len(known.labels) + len(known.fields)))

    def take(self, key: str, value: bytes) -> EntryParts | None:
        """Return and remove the parts that were kept for exactly these bytes, or None."""
        found = self._recent_writes.get(key)
        if found is None or found[0] != value:
            return None
        self._recent_writes.pop(key)
        return found[1]


class EntryParts(NamedTuple):
    """The parts of an entry besides its JSON."""

    namespace: str
    name: str
    labels: dict[str, str]
    fields: dict[str, str]

    @classmethod
    def of(cls, resource: Resource, obj: dict[str, Any]) -> EntryParts:
        """Return the parts of an object's entry. They do not share the object's labels."""
        metadata = obj["metadata"]
        return cls(metadata.get("namespace", ""), metadata["name"], dict(metadata.get("labels") or {}), resource.selectable(obj))


def decoder(resource: Resource, convert: Change | None = None, recent: RecentWrites | None = None) -> Callable[[str, bytes, int], Entry]:
    """Return the decode function of the resource's collection.

    `convert` returns the object to keep for a stored one, without changing its argument. It leaves
    fields out, or adds those that an earlier version did not store. `recent` has objects that do
    not need to be decoded. If objects are stored in another group, `convert` returns them in the
    resource's."""
    head, stored_version = _head(resource, resource.api_version), resource.stored_version
    stored_head = _head(resource, stored_version)

    def decode(key: str, value: bytes, revision: int) -> Entry:
        if not value.startswith(stored_head):
            raise ValueError(f"{key}: the stored value is not a {resource.kind} of {stored_version}")
        known = recent.take(key, value) if recent is not None else None
        if known is None:
            stored = obj = orjson.loads(value)
            if convert is not None and (obj := convert(stored)) is not stored:
                value = encode_stored(resource, obj)
            known = EntryParts.of(resource, obj)
        json = b'%s"resourceVersion":"%d",%s' % (head, revision, value[len(head) :])
        return Entry(key, known.namespace, known.name, revision, json, known.labels, known.fields)

    return decode


def _head(resource: Resource, version: str) -> bytes:
    return orjson.dumps({"apiVersion": version, "kind": resource.kind})[:-1] + b',"metadata":{'
