"""Merge an applied configuration into an object.

The rules are those of structured-merge-diff's typed/merge.go. Nothing is removed, the applied value
wins, and lists keep the object's order unless the applied list has another order. Unchanged parts
of the result are the object's own parts, so comparing the two costs nothing there.
"""

from __future__ import annotations

from typing import Any

from apiserver.registry.fieldmanager.items import are_texts, element_of, grouped, kind_of
from apiserver.registry.fieldmanager.schema import DEDUCED, ListType, MapType, Type

_ABSENT: Any = object()
_SCALARS = (str, int, bool, float)


def merge(type_: Type, live: dict[str, Any], applied: dict[str, Any]) -> dict[str, Any]:
    """Return `live` with everything in `applied`. Shares parts with both.

    Raises SchemaMismatch if list items are indistinguishable."""
    if type_.map is None:
        return applied
    return _maps(type_.map, live, applied)


def _values(type_: Type, left: Any, right: Any) -> Any:
    if right is _ABSENT or (type(left) is type(right) and type(left) in _SCALARS and left == right):
        return left
    kind = kind_of(type_, right)
    if kind == "map" and type_.map is not None and not type_.map.atomic:
        lefts, rights = left if isinstance(left, dict) else {}, right if isinstance(right, dict) else {}
        return _maps(type_.map, lefts, rights) if lefts or rights else right
    if kind == "list" and type_.list is not None and type_.list.relation != "atomic":
        items, wanted = left if isinstance(left, list) else [], right if isinstance(right, list) else []
        return _lists(type_.list, items, wanted) if items or wanted else right
    return right


def _maps(map_: MapType, left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    if are_texts(map_, right):
        texts = {name: value for name, value in right.items() if left.get(name) != value}
        return {**left, **texts} if texts else left
    changed: dict[str, Any] = {}
    for name, value in right.items():
        before = left.get(name, _ABSENT)
        declared = map_.fields.get(name)
        merged = _values(declared[1] if declared else map_.element or DEDUCED, before, value)
        if merged is not before:
            changed[name] = merged
    return {**left, **changed} if changed else left


def _lists(list_: ListType, left: list[Any], right: list[Any]) -> list[Any]:
    """Merge two lists. Items that only the object has stay in place; others get the applied order.

    A duplicate in the object that is applied too is replaced, not merged."""
    lefts, rights = grouped(list_, left), grouped(list_, right)
    order = [element_of(list_, item) for item in left]
    wanted = list(rights)
    shared = [element for element in wanted if element in lefts]
    found: list[Any] = []
    taken: set[str] = set()
    at = next_ = first = 0  # first: the index of the rest of `shared`

    def take(element: str) -> None:
        taken.add(element)
        # null is merged like any other value, and represents duplicates
        mine = lefts.get(element, [_ABSENT])
        found.append(_values(list_.item, mine[0] if len(mine) == 1 else None, rights[element][0]))

    while at < len(order) or next_ < len(wanted):
        if at < len(order) and next_ < len(wanted):
            if order[at] == wanted[next_]:
                take(order[at])
                at, next_, first = at + 1, next_ + 1, first + 1
                continue
            if order[at] in rights and first < len(shared) and shared[first] != order[at]:
                at += 1
                continue
        if at < len(order):
            if order[at] not in rights:
                found.append(left[at])
                at += 1
                continue
            if order[at] in taken:
                at += 1
        if next_ < len(wanted):
            element = wanted[next_]
            take(element)
            next_ += 1
            if first < len(shared) and shared[first] == element:
                first += 1
    return found
