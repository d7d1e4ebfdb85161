"""Describe a kind to the server: names, scope, model, columns, selectable fields and
subresources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from apiserver.apis.base import Model

SCALE = "scale"
"""The subresource with the number of replicas, whose objects are autoscaling/v1 Scales."""
ALL_VERBS = frozenset({"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"})
READING, READ_WRITE = frozenset({"get", "list", "watch"}), frozenset({"get", "update", "patch"})
"""The verbs of kinds that only the server writes, and the verbs of the subresources status and
scale."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the kind's table.

    `path` is dotted, from the root of the object. A part in parentheses selects a list item by its
    type, as in `status.conditions.(Ready).reason`. Columns of priority 0 are shown without -o wide.
    `value` computes the cell from the object, if no path leads to its value."""

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date", "number"] = "string"
    priority: int = 0
    description: str = ""
    format: str = ""
    value: Callable[[dict[str, Any]], Any] | None = None

    def of(self, obj: dict[str, Any]) -> Any:
        """Return the value of an object's cell."""
        return lookup(obj, self.path) if self.value is None else self.value(obj)


AGE = Column("Age", "metadata.creationTimestamp", type="date")


@dataclass(frozen=True)
class Resource:
    """One kind of object that this server serves."""

    group: str
    version: str
    kind: str
    plural: str
    model: type[Model]
    singular: str = ""
    """By default the kind in lower case, as in a CustomResourceDefinition."""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    columns: tuple[Column, ...] = ()
    shown_name: Callable[[dict[str, Any]], str] | None = None
    """Returns the first cell of an object's row. None: the cell is the object's name."""
    fields: Mapping[str, str] | None = None
    """Maps names of field selectors to dotted paths, besides metadata.name and
    metadata.namespace."""
    indexed: Mapping[str, str] | None = None
    """Maps names to paths by which only this server looks objects up. The names begin with a dot,
    so that no selector can name them."""
    subresources: Mapping[str, frozenset[str]] | None = None
    """Maps the name of a subresource to its verbs."""
    verbs: frozenset[str] = ALL_VERBS
    stored_as: str = ""
    """The plural of the kind from whose stored objects this kind's objects are derived."""
    strategic: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None
    """Applies a strategic merge patch to an object. Without this function, such requests are
    refused (415), as for every kind that clients were not built with."""
    protobuf: Callable[[bytes], dict[str, Any]] | None = None
    """Decodes a protobuf body. Without this function, such requests are refused (415), too."""
    stored_group: str = ""
    """The group under which objects are stored, if it is another one.

    See generic.regroupedregistry."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "singular", self.singular or self.kind.lower())

    @property
    def api_version(self) -> str:
        """Return group/version, or only the version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def stored_version(self) -> str:
        """Return the apiVersion of stored objects."""
        return f"{self.stored_group}/{self.version}" if self.stored_group else self.api_version

    @property
    def prefix(self) -> str:
        """Return the storage prefix of all objects of the kind. It ends in a slash."""
        return f"/registry/{self.stored_group or self.group or 'core'}/{self.stored_as or self.plural}/"

    def key(self, namespace: str, name: str) -> str:
        """Return the storage key of one object, or, for an empty name, the prefix of the
        namespace."""
        return f"{self.prefix}{namespace}/{name}" if self.namespaced else f"{self.prefix}{name}"

    def selectable(self, obj: dict[str, Any]) -> dict[str, str]:
        """Return the values of an object for field selectors and indexes."""
        metadata = obj["metadata"]
        found = {"metadata.name": metadata["name"]}
        if self.namespaced:
            found["metadata.namespace"] = metadata.get("namespace", "")
        for paths in (self.fields, self.indexed):
            for field, path in paths.items() if paths else ():
                value = lookup(obj, path)
                found[field] = "" if value is None else str(value)
        return found


def lookup(obj: Any, path: str) -> Any:
    """Return the value at a dotted path (see Column.path), or None if a part is missing."""
    for part in path.split("."):
        if part.startswith("(") and isinstance(obj, list):
            obj = next((item for item in obj if isinstance(item, dict) and item.get("type") == part[1:-1]), None)
        elif isinstance(obj, dict):
            obj = obj.get(part)
        else:
            return None
    return obj
