"""Compute the differences between two states of an object as sets of fields.

The rules are those of structured-merge-diff's typed/compare.go. Equal subtrees are skipped at the
speed of ==, so the cost depends on the size of the change, not of the object. Values that do not
fit their type are compared as a whole.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from apiserver.registry.fieldmanager.fieldset import FieldSet, Tree
from apiserver.registry.fieldmanager.items import CONTAINERS, are_texts, grouped, kind_of, same
from apiserver.registry.fieldmanager.schema import DEDUCED, ListType, MapType, Type


class Comparison(NamedTuple):
    """The fields that only the new state has, that differ, and that only the old state has.

    The three sets are disjoint."""

    added: FieldSet
    modified: FieldSet
    removed: FieldSet

    def without(self, ignored: FieldSet) -> Comparison:
        """Return the comparison except for the fields in or below `ignored`."""
        return Comparison(self.added.without(ignored), self.modified.without(ignored), self.removed.without(ignored))


class _Difference:
    """The three trees below one field during the comparison."""

    __slots__ = ("added", "modified", "removed")

    def __init__(self) -> None:
        self.added: Tree = {}
        self.modified: Tree = {}
        self.removed: Tree = {}

    def put(self, element: str, below: _Difference) -> None:
        """Attach the differences below `element`."""
        if below.added:
            self.added[element] = below.added
        if below.modified:
            self.modified[element] = below.modified
        if below.removed:
            self.removed[element] = below.removed


def compare(type_: Type, old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    """Return the changes from `old` to `new`. Raises SchemaMismatch if list items are
    indistinguishable."""
    found = _Difference()
    if type_.map is not None:
        _maps(type_.map, old, new, found)
    return Comparison(FieldSet(found.added), FieldSet(found.modified), FieldSet(found.removed))


def whole(type_: Type, value: Any) -> Tree:
    """Return the tree of a value that was added or removed as a whole: everything in it is a
    member."""
    if not value:
        return {}
    found: Tree = {".": {}}
    if isinstance(value, dict):
        map_ = type_.map
        if map_ is None or map_.atomic:
            return {}
        if are_texts(map_, value):
            return {".": {}} | {f"f:{name}": {} for name in value}
        fields = map_.fields
        for name, part in value.items():
            element, part_type = fields.get(name) or (f"f:{name}", map_.element or DEDUCED)
            found[element] = whole(part_type, part) if isinstance(part, CONTAINERS) else {}
    elif isinstance(value, list):
        list_ = type_.list
        if list_ is None or list_.relation == "atomic":
            return {}
        for element, items in grouped(list_, value).items():
            found[element] = whole(list_.item, items[0]) if len(items) == 1 else {}
    else:
        return {}
    return found


def _values(type_: Type, old: Any, new: Any, element: str, above: _Difference) -> None:
    """Compare a field that both sides have.

    If the values are of different kinds, the rules of both kinds apply, each with the other value
    as null."""
    if same(type_, old, new):
        return
    below = _Difference()
    leaf = False
    for kind in {kind_of(type_, old), kind_of(type_, new)}:
        if kind == "map" and type_.map is not None and not type_.map.atomic:
            lefts, rights = old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}
            leaf = leaf or not (lefts or rights)
            _maps(type_.map, lefts, rights, below)
        elif kind == "list" and type_.list is not None and type_.list.relation != "atomic":
            left, right = old if isinstance(old, list) else [], new if isinstance(new, list) else []
            leaf = leaf or not (left or right)
            _lists(type_.list, left, right, below)
        else:
            leaf = True
    if leaf:
        below.modified["."] = {}
        if len(below.modified) == 1:
            above.modified[element] = below.modified = {}
    above.put(element, below)


def _maps(map_: MapType, old: dict[str, Any], new: dict[str, Any], found: _Difference) -> None:
    fields = map_.fields
    for name, left in old.items():
        if name in new:
            right = new[name]
            if left is right:
                continue
            element, type_ = fields.get(name) or (f"f:{name}", map_.element or DEDUCED)
            _values(type_, left, right, element, found)
        else:
            element, type_ = fields.get(name) or (f"f:{name}", map_.element or DEDUCED)
            found.removed[element] = whole(type_, left)
    for name, right in new.items():
        if name not in old:
            element, type_ = fields.get(name) or (f"f:{name}", map_.element or DEDUCED)
            found.added[element] = whole(type_, right)


def _lists(list_: ListType, old: list[Any], new: list[Any], found: _Difference) -> None:
    """Compare lists. Items that occur more than once are owned as a whole under their common
    element."""
    lefts, rights = grouped(list_, old), grouped(list_, new)
    for element in {**lefts, **rights}:
        left, right = lefts.get(element, []), rights.get(element, [])
        if len(left) == len(right) == 1:
            _values(list_.item, left[0], right[0], element, found)
        elif len(left) > 1 and len(right) > 1:
            if not same(DEDUCED, left, right):
                found.modified[element] = {}
        elif len(left) <= 1 and len(right) <= 1:
            if right:
                found.added[element] = whole(list_.item, right[0])
            else:
                found.removed[element] = whole(list_.item, left[0])
        else:
            _duplicated(list_, left, right, element, found)


def _duplicated(list_: ListType, left: list[Any], right: list[Any], element: str, found: _Difference) -> None:
    """Compare duplicates on one side: they are removed and a single item is added, or vice
    versa."""
    if len(left) > 1:
        found.removed[element] = {}
        if right:
            found.added[element] = whole(list_.item, right[0])
    else:
        found.added[element] = {}
        if left:
            found.removed[element] = whole(list_.item, left[0])
