"""Read, limit and write metadata.managedFields, which record the owners of fields.

The rules are those of k8s.io/apimachinery/pkg/util/managedfields/internal (managedfields.go,
capmanagers.go, stripmeta.go). Unchanged entries are written as they were read, without examining
their field sets.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from apiserver.registry.fieldmanager.fieldset import FieldSet

MAX_UPDATERS = 10
"""The number of Update entries of an object above which the oldest are merged."""

ANCIENT = "ancient-changes"

_ORDER = ("operation", "time", "manager", "apiVersion", "subresource")

SYSTEM = frozenset(
    {"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"}
)
"""The fields of metadata that have no manager."""

STRIPPED = FieldSet.of(("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", f"f:{name}") for name in sorted(SYSTEM)))
"""The fields that belong to the system, and so have no manager."""


class Identity(NamedTuple):
    """The identity of an entry.

    `api_version` is "" for appliers, whose identity does not depend on the version that they
    apply."""

    manager: str
    operation: str
    api_version: str
    subresource: str

    @classmethod
    def of(cls, manager: str, operation: str, api_version: str, subresource: str) -> Identity:
        """Return the identity of an entry. A client without a name is called "unknown"."""
        return cls(manager or "unknown", operation, "" if operation == "Apply" else api_version, subresource)

    @property
    def applied(self) -> bool:
        """Return whether this is an applier, which gives up fields by no longer applying them."""
        return self.operation == "Apply"

    def sort_text(self) -> str:
        """Return the text by which upstream orders otherwise equal managers."""
        names = ("manager", "operation", "apiVersion", "subresource")
        return orjson.dumps({name: value for name, value in zip(names, self, strict=True) if value}).decode()


class Entry(NamedTuple):
    """The fields of one manager.

    `time` is RFC 3339 in UTC and whole seconds, or "". `stored` is the entry as it was read, if
    unchanged."""

    fields: FieldSet
    api_version: str
    time: str
    stored: dict[str, Any] | None = None


Managers = dict[Identity, Entry]


def is_reset(value: object) -> bool:
    """Return whether a client asks to reset managedFields, by one empty entry.

    Clients without knowledge of managedFields send an empty list."""
    return value == [{}]


def decode(entries: object, api_version: str) -> Managers:
    """Return the managers of a stored object.

    Entries of other API versions are dropped, because such versions no longer exist."""
    found: Managers = {}
    for entry in entries if isinstance(entries, list) else ():
        if entry.get("apiVersion") == api_version:
            found[_identity(entry)] = Entry(FieldSet(entry.get("fieldsV1") or {}), api_version, entry.get("time") or "", entry)
    return found


def _identity(entry: dict[str, Any]) -> Identity:
    applied = entry["operation"] == "Apply"
    return Identity(entry.get("manager", ""), entry["operation"], "" if applied else entry["apiVersion"], entry.get("subresource", ""))


def parse(entries: object) -> list[dict[str, Any]]:
    """Return a client's entries in canonical form and order, or [] if they are invalid.

    For [] the stored ones remain."""
    try:
        parsed = [_parsed(entry) for entry in entries] if isinstance(entries, list) else []
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    # Of two entries of one manager, the later one counts.
    return _ordered(list({_identity(entry): entry for entry in parsed}.values()))


def _parsed(entry: object) -> dict[str, Any]:
    """Return an entry in canonical form. Raises ValueError, TypeError or KeyError for an invalid
    one."""
    if not isinstance(entry, dict):
        raise TypeError("an entry is a JSON object")
    texts = {name: entry.get(name) or "" for name in ("manager", "operation", "apiVersion", "subresource", "time")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("texts are expected")
    if texts["operation"] not in ("Apply", "Update") or not texts["apiVersion"] or entry["fieldsType"] != "FieldsV1":
        raise ValueError("an entry must have an operation Apply or Update, an apiVersion, and fieldsType FieldsV1")
    fields = FieldSet.parse({} if entry.get("fieldsV1") is None else entry["fieldsV1"])
    time = datetime.fromisoformat(texts["time"]).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if texts["time"] else ""
    identity = Identity(texts["manager"], texts["operation"], texts["apiVersion"], texts["subresource"])
    return _encoded(identity, Entry(fields, texts["apiVersion"], time))


def encode(managers: Managers) -> list[dict[str, Any]]:
    """Return the managedFields of these managers in order."""
    return _ordered([entry.stored or _encoded(identity, entry) for identity, entry in managers.items()])


def _ordered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries in order: appliers first, then the oldest first."""
    return sorted(entries, key=lambda entry: [entry.get(name) or "" for name in _ORDER]) if len(entries) > 1 else entries


def _encoded(identity: Identity, entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {
        "manager": identity.manager,
        "operation": identity.operation,
        "apiVersion": entry.api_version,
        "time": entry.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": entry.fields.tree,
        "subresource": identity.subresource,
    }
    return {name: value for name, value in found.items() if value or name == "fieldsV1"}


def capped(managers: Managers) -> Managers:
    """Return the managers after merging the oldest updaters of each API version down to
    MAX_UPDATERS."""
    if len(managers) <= MAX_UPDATERS:
        return managers
    updaters = [identity for identity in managers if not identity.applied]
    if len(updaters) <= MAX_UPDATERS:
        return managers
    left = dict(managers)
    firsts: dict[str, Identity] = {}
    count = len(updaters)
    for identity in sorted(updaters, key=lambda identity: (managers[identity].time, identity.sort_text())):
        if count <= MAX_UPDATERS:
            break
        entry = left[identity]
        first = firsts.setdefault(entry.api_version, identity)
        if first is identity:
            continue
        bucket = Identity(ANCIENT, "Update", entry.api_version, "")
        older = left.pop(bucket if bucket in left and bucket != identity else first)
        del left[identity]
        left[bucket] = Entry(older.fields | entry.fields, entry.api_version, entry.time)
        firsts[entry.api_version] = bucket
        count -= 1
    return left


def owner_text(identity: Identity, api_version: str) -> str:
    """Return the name of a manager in conflict messages."""
    text = orjson.dumps(identity.manager).decode()
    if identity.subresource:
        text += f" with subresource {orjson.dumps(identity.subresource).decode()}"
    return text if identity.applied else f"{text} using {api_version}"
