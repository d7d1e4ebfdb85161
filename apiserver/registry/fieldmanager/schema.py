"""Compile a structural openAPI v3 schema, as in a CustomResourceDefinition, into types for merging.

As in Kubernetes, lists are atomic and objects granular unless the schema says otherwise. Where
anything is allowed, objects are granular and lists atomic. Metadata has meta/v1's own schema.
Sources: k8s.io/kube-openapi/pkg/schemaconv, and apiextensions-apiserver's openapi builder. This
module does not validate values (patterns, limits, required fields).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

ScalarType = Literal["numeric", "string", "boolean", "untyped"]


class SchemaError(ValueError):
    """The schema is not structural, or uses an extension wrongly. The text names the place."""


@dataclass(slots=True, eq=False)
class MapType:
    """The type of an object.

    fields: the declared fields by name, each with its path element.

    element: the type of all other fields, None if there may be none.

    atomic: whether the object is changed and owned as a whole.

    atomic_below: the types of declared fields that are atomic or have atomic values below, by path
    element."""

    fields: dict[str, tuple[str, Type]] = field(default_factory=dict)
    element: Type | None = None
    atomic: bool = False
    atomic_below: dict[str, Type] = field(default_factory=dict)

    def type_of(self, name: str) -> Type:
        """Return the type of a field. An undeclared field may have any type here.

        typed.validate decides whether it may exist."""
        declared = self.fields.get(name)
        return declared[1] if declared is not None else self.element or DEDUCED


@dataclass(slots=True, eq=False)
class ListType:
    """The type of a list.

    Items are identified by `keys` ("map", of objects), by themselves ("set", of scalars) or not at
    all ("atomic"). `defaults` are the values of keys that items may omit."""

    relation: Literal["atomic", "set", "map"]
    item: Type
    keys: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Type:
    """The type of a value: several of the three where the schema leaves it open.

    exact: booleans cannot occur in place of numbers, so Python's == (True == 1) suffices to
    compare.

    atomic_below: an object or list that is declared atomic may occur here or below.
    """

    scalar: ScalarType | None = None
    list: ListType | None = None
    map: MapType | None = None
    exact: bool = True
    atomic_below: bool = False


def _anything() -> tuple[Type, Type]:
    """Return two types of any value: one that is merged by field, and one that is atomic."""
    atomic = Type(scalar="untyped", exact=False, atomic_below=True)
    atomic.list, atomic.map = ListType("atomic", atomic), MapType(element=atomic, atomic=True)
    deduced = Type(scalar="untyped", list=ListType("atomic", atomic), exact=False)
    deduced.map = MapType(element=deduced)
    return deduced, atomic


DEDUCED, ATOMIC = _anything()
"""The types of values without a schema."""

ANYTHING = MapType(element=DEDUCED)
"""Any object."""

_SCALARS: dict[str, ScalarType] = {"integer": "numeric", "number": "numeric", "boolean": "boolean"}

_STRING = {"type": "string"}
_BOOLEAN = {"type": "boolean"}
_INTEGER = {"type": "integer"}
_TIME = {"type": "string", "format": "date-time"}
_TEXTS = {"type": "object", "additionalProperties": _STRING}
_OWNER = {
    "type": "object",
    "x-kubernetes-map-type": "atomic",
    "properties": {
        "apiVersion": _STRING,
        "kind": _STRING,
        "name": _STRING,
        "uid": _STRING,
        "controller": _BOOLEAN,
        "blockOwnerDeletion": _BOOLEAN,
    },
}
_METADATA = {
    "type": "object",
    "properties": {
        "name": _STRING,
        "generateName": _STRING,
        "namespace": _STRING,
        "selfLink": _STRING,
        "uid": _STRING,
        "resourceVersion": _STRING,
        "generation": _INTEGER,
        "creationTimestamp": _TIME,
        "deletionTimestamp": _TIME,
        "deletionGracePeriodSeconds": _INTEGER,
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "ownerReferences": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"], "items": _OWNER},
        "finalizers": {"type": "array", "x-kubernetes-list-type": "set", "items": _STRING},
        "managedFields": {"type": "array", "items": {"type": "object"}},
    },
}
_OBJECT = {"apiVersion": _STRING, "kind": _STRING, "metadata": _METADATA}


def compile_schema(schema: dict[str, Any]) -> Type:
    """Return the type of a kind's objects. Compile it once per kind. Raises SchemaError.

    The schemas of apiVersion, kind and metadata are replaced by those of every kind.
    """
    return _compile({**schema, "type": "object", "properties": {**schema.get("properties", {}), **_OBJECT}}, "", keep_unknown=False)


def _compile(schema: dict[str, Any], path: str, *, keep_unknown: bool) -> Type:
    # As upstream, x-kubernetes-preserve-unknown-fields applies to everything below as well.
    keep_unknown = keep_unknown or schema.get("x-kubernetes-preserve-unknown-fields") is True
    if schema.get("x-kubernetes-embedded-resource"):
        schema = {**schema, "properties": {**schema.get("properties", {}), **_OBJECT}}
    kind = schema.get("type", "")
    if kind == "object":
        found = _map(schema, path, keep_unknown)
        return Type(map=found, exact=_map_exact(found), atomic_below=_map_atomic(found))
    if kind == "array":
        items = _list(schema, path, keep_unknown)
        return Type(list=items, exact=items.item.exact, atomic_below=_list_atomic(items))
    if kind == "":
        items, found = _list(schema, path, keep_unknown), _map(schema, path, keep_unknown)
        return Type("untyped", items, found, exact=False, atomic_below=_list_atomic(items) or _map_atomic(found))
    if kind == "string":
        # Values with a format such as date-time may have other types than string, so they are not
        # examined.
        return Type(scalar="string" if schema.get("format", "") in ("", "byte") else "untyped", exact="format" not in schema)
    if kind in _SCALARS:
        return Type(scalar=_SCALARS[kind])
    raise SchemaError(f'{path or "the schema"} has type "{kind}": use object, array, string, integer, number or boolean')


def _map_exact(found: MapType) -> bool:
    return (found.element is None or found.element.exact) and all(type_.exact for _, type_ in found.fields.values())


def _map_atomic(found: MapType) -> bool:
    return found.atomic or bool(found.atomic_below) or (found.element is not None and found.element.atomic_below)


def _list_atomic(found: ListType) -> bool:
    return found.relation == "atomic" or found.item.atomic_below


def _map(schema: dict[str, Any], path: str, keep_unknown: bool) -> MapType:
    properties = schema.get("properties") or {}
    fields = {name: (f"f:{name}", _compile(part, f"{path}.{name}", keep_unknown=keep_unknown)) for name, part in properties.items()}
    relation = schema.get("x-kubernetes-map-type", "granular")
    if relation not in ("atomic", "granular"):
        raise SchemaError(f'{path or "the schema"} has x-kubernetes-map-type "{relation}": use atomic or granular')
    below = {element: type_ for element, type_ in fields.values() if type_.atomic_below}
    return MapType(fields, _element(schema, path, keep_unknown), relation == "atomic", below)


def _element(schema: dict[str, Any], path: str, keep_unknown: bool) -> Type | None:
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        return _compile(extra, f"{path}.*", keep_unknown=keep_unknown)
    if extra is None:
        return DEDUCED if keep_unknown or not schema.get("properties") else None
    return DEDUCED if extra else None


def _list(schema: dict[str, Any], path: str, keep_unknown: bool) -> ListType:
    items = schema.get("items")
    if items is None and schema.get("type"):
        raise SchemaError(f"{path} is an array without items: say what it consists of")
    item = ATOMIC if items is None else _compile(items, f"{path}[]", keep_unknown=keep_unknown)
    relation = schema.get("x-kubernetes-list-type", "atomic")
    if relation == "atomic" or relation == "set":
        return ListType(relation, item)
    keys = schema.get("x-kubernetes-list-map-keys")
    if relation != "map" or not keys:
        raise SchemaError(f'{path} has x-kubernetes-list-type "{relation}": use atomic, set, or map with x-kubernetes-list-map-keys')
    if item.map is None:
        raise SchemaError(f"{path} is a list with map keys, so its items must be objects")
    declared = (items or {}).get("properties", {})
    defaults = {key: declared[key]["default"] for key in keys if declared.get(key, {}).get("default") is not None}
    return ListType("map", item, tuple(sorted(keys)), defaults)
