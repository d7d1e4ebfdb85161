"""Determine the kind of a value by its type, the identity of list items, and the equality of
values."""

from __future__ import annotations

from typing import Any, Literal

from apiserver.registry.fieldmanager.elements import item_key, set_value, text_key
from apiserver.registry.fieldmanager.errors import SchemaMismatch
from apiserver.registry.fieldmanager.schema import ANYTHING, DEDUCED, ListType, MapType, Type

Kind = Literal["map", "scalar", "list"]

CONTAINERS = (dict, list)
_TEXT = frozenset((str,))


def are_texts(map_: MapType, values: dict[str, Any]) -> bool:
    """Return whether a map has the type of labels and annotations, and contains only strings.

    These are the maps with many entries, which can then be processed at the speed of C."""
    element = map_.element
    return not map_.fields and element is not None and element.scalar == "string" and _TEXT.issuperset(map(type, values.values()))


def kind_of(type_: Type, value: Any) -> Kind:
    """Return the kind by which `value` is handled.

    It is the value's own kind if the type allows it. Null and misfits have the first kind that the
    type allows."""
    if isinstance(value, dict):
        fitting: Kind | None = "map" if type_.map is not None else None
    elif isinstance(value, list):
        fitting = "list" if type_.list is not None else None
    else:
        fitting = "scalar" if value is not None and type_.scalar is not None else None
    if fitting is not None:
        return fitting
    if type_.map is not None:
        return "map"
    return "scalar" if type_.scalar is not None else "list"


def same(type_: Type, left: Any, right: Any) -> bool:
    """Return whether two values are equal; 1 equals 1.0, but not True."""
    if left is right:
        return True
    equal: bool = left == right
    return equal and (type_.exact or _same_kinds(type_, left, right))


def _same_kinds(type_: Type, left: Any, right: Any) -> bool:
    """Return whether equal values have booleans in the same places.

    Only parts whose type leaves that open are examined."""
    if left is right:
        return True
    if isinstance(left, dict):
        map_ = type_.map or ANYTHING
        types = {name: map_.type_of(name) for name in left}
        return all(_same_kinds(child, left[name], right[name]) for name, child in types.items() if not child.exact)
    if isinstance(left, list):
        item = type_.list.item if type_.list is not None else DEDUCED
        return item.exact or all(_same_kinds(item, one, other) for one, other in zip(left, right, strict=True))
    return isinstance(left, bool) == isinstance(right, bool)


def element_of(list_: ListType, item: Any) -> str:
    """Return the path element of an item of a set or of a list with keys. Raises SchemaMismatch."""
    if list_.relation == "set":
        if item is None or isinstance(item, CONTAINERS):
            raise SchemaMismatch([("", "items of a list of type set must be scalars, not null")])
        return set_value(item)
    if not isinstance(item, dict):
        raise SchemaMismatch([("", "items of a list with map keys must be objects")])
    keys = list_.keys
    if len(keys) == 1 and type(value := item.get(keys[0])) is str:
        return text_key(keys[0], value)
    found = {key: item[key] if key in item else list_.defaults[key] for key in keys if key in item or key in list_.defaults}
    if not found:
        raise SchemaMismatch([("", f"an item has none of the list's keys: set {', '.join(keys)}")])
    return item_key(found)


def grouped(list_: ListType, items: list[Any]) -> dict[str, list[Any]]:
    """Return the items by path element, in order; several items are duplicates. Raises
    SchemaMismatch."""
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(element_of(list_, item), []).append(item)
    return found
