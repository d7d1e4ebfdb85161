"""How a kind is described to the rest of the server: names, scope, model, columns, selectable fields, subresources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from apiserver.apis.base import Model

__all__ = ["Column", "Resource", "lookup"]

ALL_VERBS = frozenset({"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the kind's table. `path` is dotted from the object's root; a part in parentheses selects a list item
    by its type, as in `status.conditions.(Ready).reason`. Columns of priority 0 show without -o wide."""

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date", "number"] = "string"
    priority: int = 0
    description: str = ""
    format: str = ""


@dataclass(frozen=True)
class Resource:
    """One kind of object this server serves. `fields` maps field-selector names to dotted paths, beside metadata.name
    and metadata.namespace; `indexed` maps names (beginning with a dot, so that no selector can name them) to paths that
    only this server looks things up by. `subresources` maps a subresource's name to the verbs it takes. `strategic` applies a
    strategic merge patch to an object, `protobuf` reads a body of that form; without them both are refused (415), as for any kind
    that clients were not built with."""

    group: str
    version: str
    kind: str
    plural: str
    model: type[Model]
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    columns: tuple[Column, ...] = ()
    fields: Mapping[str, str] | None = None
    indexed: Mapping[str, str] | None = None
    subresources: Mapping[str, frozenset[str]] | None = None
    verbs: frozenset[str] = ALL_VERBS
    strategic: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] | None = None
    protobuf: Callable[[bytes], dict[str, Any]] | None = None

    @property
    def api_version(self) -> str:
        """group/version, or the bare version of the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def prefix(self) -> str:
        """The storage prefix of all objects of the kind; ends in a slash."""
        return f"/registry/{self.group or 'core'}/{self.plural}/"

    def key(self, namespace: str, name: str) -> str:
        """The storage key of one object; with an empty name, the prefix of the namespace's objects."""
        return f"{self.prefix}{namespace}/{name}" if self.namespaced else f"{self.prefix}{name}"

    def selectable(self, obj: dict[str, Any]) -> dict[str, str]:
        """The values that field selectors and indexes look at."""
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
    """The value at a dotted path (see Column.path), or None where a part is missing."""
    for part in path.split("."):
        if part.startswith("(") and isinstance(obj, list):
            obj = next((item for item in obj if isinstance(item, dict) and item.get("type") == part[1:-1]), None)
        elif isinstance(obj, dict):
            obj = obj.get(part)
        else:
            return None
    return obj
