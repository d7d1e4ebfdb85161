"""How a value is looked at: which of a type's kinds it is, what its list items are called, when two values are the same. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from apiserver.registry.fields.elements import item_key, set_value
from apiserver.registry.fields.errors import SchemaMismatch

if TYPE_CHECKING:
    from apiserver.registry.fields.schema import ListType, Type

__all__ = ["Kind", "element_of", "grouped", "kind_of", "same"]

Kind = Literal["map", "scalar", "list"]


def kind_of(type_: Type, value: Any) -> Kind:
    """As what `value` is handled: what it is if the type allows that; null and misfits as the first kind that the type allows."""
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
    """Whether two values are equal; 1 equals 1.0, but not True."""
    equal: bool = left == right
    return equal and (type_.exact or _same_kinds(left, right))


def _same_kinds(left: Any, right: Any) -> bool:
    """Of equal values, whether truth values stand in the same places."""
    if isinstance(left, dict):
        return all(_same_kinds(value, right[name]) for name, value in left.items())
    if isinstance(left, list):
        return all(map(_same_kinds, left, right))
    return isinstance(left, bool) == isinstance(right, bool)


def element_of(list_: ListType, item: Any) -> str:
    """The path element of an item of a set or of a list with keys. Raises SchemaMismatch."""
    if list_.relation == "set":
        if item is None or isinstance(item, dict | list):
            raise SchemaMismatch([("", "items of a list of type set must be scalars, not null")])
        return set_value(item)
    if not isinstance(item, dict):
        raise SchemaMismatch([("", "items of a list with map keys must be objects")])
    keys = tuple((key, item[key] if key in item else list_.defaults[key]) for key in list_.keys if key in item or key in list_.defaults)
    if not keys:
        raise SchemaMismatch([("", f"an item has none of the list's keys: set {', '.join(list_.keys)}")])
    return item_key(keys)


def grouped(list_: ListType, items: list[Any]) -> dict[str, list[Any]]:
    """The items by their path elements, in order; those of one element are duplicates. Raises SchemaMismatch."""
    found: dict[str, list[Any]] = {}
    for item in items:
        found.setdefault(element_of(list_, item), []).append(item)
    return found
