"""Process an object by its type: list its fields, validate it, and remove fields.

The rules are those of structured-merge-diff's typed package (tofieldset.go, validate.go,
remove.go). See `compare` and `merge` for the other operations.
"""

from __future__ import annotations

from typing import Any

from apiserver.registry.fieldmanager.errors import SchemaMismatch
from apiserver.registry.fieldmanager.fieldset import FieldSet, Tree, is_member
from apiserver.registry.fieldmanager.items import are_texts, element_of, grouped, kind_of
from apiserver.registry.fieldmanager.schema import DEDUCED, ListType, MapType, Type

_FITTING: dict[str, frozenset[type]] = {
    "numeric": frozenset((int, float)),
    "string": frozenset((str,)),
    "boolean": frozenset((bool,)),
    "untyped": frozenset((int, float, str, bool)),
}


_SCALARS = _FITTING["untyped"]


def to_field_set(type_: Type, obj: dict[str, Any]) -> FieldSet:
    """Return the fields that an applier of `obj` owns.

    These are leaves, and items of lists and maps. Declared objects are included only if they are
    empty."""
    return FieldSet(_listed(type_, obj)[0])


def _listed(type_: Type, value: Any) -> tuple[Tree, bool]:
    """Return the tree below the value, and whether its type makes the value itself a member."""
    kind = kind_of(type_, value)
    if kind == "map" and type_.map is not None and not type_.map.atomic:
        return _listed_map(type_.map, value if isinstance(value, dict) else {}), False
    if kind == "list" and type_.list is not None and type_.list.relation != "atomic":
        return _listed_list(type_.list, value if isinstance(value, list) else []), False
    return {}, True


def _listed_map(map_: MapType, values: dict[str, Any]) -> Tree:
    if are_texts(map_, values):
        return {f"f:{name}": {} for name in values}
    found: Tree = {}
    for name, value in values.items():
        declared = map_.fields.get(name)
        element, type_ = declared or (f"f:{name}", map_.element or DEDUCED)
        if type_.scalar is not None and type(value) in _SCALARS:
            found[element] = {}
            continue
        below, member = _listed(type_, value)
        _put(found, element, below, member or declared is None or value is None or value == {})
    return found


def _listed_list(list_: ListType, items: list[Any]) -> Tree:
    found: Tree = {}
    for element, same_items in grouped(list_, items).items():
        _put(found, element, _listed(list_.item, same_items[0])[0] if len(same_items) == 1 else {}, True)
    return found


def _put(found: Tree, element: str, below: Tree, member: bool) -> None:
    if member:
        found[element] = {".": {}, **below} if below else {}
    elif below:
        found[element] = below


def validate(type_: Type, obj: dict[str, Any], *, duplicates: bool = False) -> None:
    """Raise SchemaMismatch for undeclared fields, values of a wrong kind, or duplicate items.

    `duplicates` allows two items with one key."""
    errors = list(_errors(type_, obj, "", duplicates))
    if errors:
        raise SchemaMismatch(errors)


def _errors(type_: Type, value: Any, path: str, duplicates: bool) -> list[tuple[str, str]]:
    if value is None or (type_.scalar is not None and type(value) in _FITTING[type_.scalar]):
        return []
    if isinstance(value, dict) and type_.map is not None:
        return _map_errors(type_.map, value, path, duplicates)
    if isinstance(value, list) and type_.list is not None:
        return _list_errors(type_.list, value, path, duplicates)
    shown = _GO_TYPES.get(type(value)) if type_.scalar == "numeric" else None
    return [(path, f"expected {_expected(type_)}, got {shown or _shown(value)}")]


def _map_errors(map_: MapType, values: dict[str, Any], path: str, duplicates: bool) -> list[tuple[str, str]]:
    if are_texts(map_, values):
        return []
    found: list[tuple[str, str]] = []
    for name, value in values.items():
        declared = map_.fields.get(name)
        type_ = declared[1] if declared else map_.element
        if type_ is not None and type_.scalar is not None and type(value) in _FITTING[type_.scalar]:
            continue
        if type_ is None:
            found.append((f"{path}.{name}", "field not declared in schema"))
        else:
            found += _errors(type_, value, f"{path}.{name}", duplicates)
    return found


def _list_errors(list_: ListType, items: list[Any], path: str, duplicates: bool) -> list[tuple[str, str]]:
    scalar = list_.item.scalar
    if list_.relation == "atomic" and scalar is not None and _FITTING[scalar].issuperset(map(type, items)):
        return []
    found: list[tuple[str, str]] = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        if list_.relation != "atomic":
            try:
                element = element_of(list_, item)
            except SchemaMismatch as error:
                found.append((path, f"element {index}: {error}"))
                continue
            if element in seen and not duplicates:
                found.append((path, f"duplicate entries for key {FieldSet({element: {}}).render()[0]}"))
            seen.add(element)
        found += _errors(list_.item, item, f"{path}[{index}]", duplicates)
    return found


def _expected(type_: Type) -> str:
    if type_.map is not None:
        return "map"
    if type_.list is not None:
        return "list"
    return {"numeric": "numeric (int or float)", "untyped": "any scalar"}.get(type_.scalar or "", type_.scalar or "")


_GO_TYPES = {str: "string", bool: "bool"}
"""The names that structured-merge-diff uses for values in place of a number."""


def _shown(value: Any) -> str:
    return "map" if isinstance(value, dict) else "list" if isinstance(value, list) else repr(value)


def remove_items(type_: Type, obj: dict[str, Any], fields: FieldSet, *, nulls: bool = True) -> dict[str, Any]:
    """Return `obj` without these fields and everything below them. Shares parts.

    A value that stays although nothing is left of it becomes null, as upstream; without `nulls`, it
    becomes an empty object or list.
    """
    found = _removed(type_, obj, fields.tree, nulls)
    return found if isinstance(found, dict) else {}


def _removed(type_: Type, value: Any, tree: Tree, nulls: bool) -> Any:
    """Return a value without members of `tree`, which are below it. Atomic values are removed as a
    whole."""
    kind = kind_of(type_, value)
    if kind == "map" and type_.map is not None and isinstance(value, dict):
        values = {} if type_.map.atomic else _removed_map(type_.map, value, tree, nulls)
        return None if nulls and not values else values
    if kind == "list" and type_.list is not None and isinstance(value, list):
        items = [] if type_.list.relation == "atomic" else _removed_list(type_.list, value, tree, nulls)
        return None if nulls and not items else items
    return value if kind == "scalar" else None


def _removed_map(map_: MapType, values: dict[str, Any], tree: Tree, nulls: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        below = tree.get(f"f:{name}")
        if below is None:
            found[name] = value
        elif not is_member(below):
            found[name] = _removed(map_.type_of(name), value, below, nulls)
    return found


def _removed_list(list_: ListType, items: list[Any], tree: Tree, nulls: bool) -> list[Any]:
    found: list[Any] = []
    for item in items:
        below = tree.get(element_of(list_, item))
        if below is None:
            found.append(item)
        elif not is_member(below):
            found.append(_removed(list_.item, item, below, nulls))
    return found


def named_fields(type_: Type, fields: FieldSet) -> FieldSet:
    """Return `fields` with all declared fields that have members below, which `to_field_set`
    omits."""
    return FieldSet(_named(type_, fields.tree))


def _named(type_: Type | None, tree: Tree) -> Tree:
    found: Tree = {}
    for element, below in tree.items():
        if not below:
            found[element] = below
            continue
        child, declared = _type_of(type_, element)
        found[element] = _named(child, below)
        if declared and "." not in below:
            found[element]["."] = {}
    return found


def _type_of(type_: Type | None, element: str) -> tuple[Type | None, bool]:
    """Return the type of the value at a path element, and whether it is a declared field."""
    if type_ is not None and element.startswith("f:") and type_.map is not None:
        declared = type_.map.fields.get(element[2:])
        return (declared[1], True) if declared else (type_.map.element, False)
    if type_ is not None and element.startswith("k:") and type_.list is not None:
        return type_.list.item, False
    return None, False
