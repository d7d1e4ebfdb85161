"""Adapt field sets that were written under another schema.

If a list or object has become atomic, an owner of any part owns the whole. Nothing is done in the
opposite case, or for fields without a schema (structured-merge-diff's typed/reconcile_schema.go).
"""

from __future__ import annotations

from apiserver.registry.fieldmanager.fieldset import FieldSet, Tree
from apiserver.registry.fieldmanager.schema import MapType, Type


def reconcile(type_: Type, fields: FieldSet) -> FieldSet:
    """Return `fields` as they would be under this schema; the same object if nothing changes."""
    tree = _reconciled(type_, fields.tree) if fields else fields.tree
    return fields if tree is fields.tree else FieldSet(tree)


def _reconciled(type_: Type, tree: Tree) -> Tree:
    """Return the new subtree below a field, or `tree` itself if it is right. `tree` is not
    empty."""
    if not type_.atomic_below:
        return tree
    if type_.map is not None:
        if type_.map.atomic:
            return {}
        types = _concerned(type_.map, tree)
    elif type_.list is not None:
        if type_.list.relation == "atomic":
            return {}
        types = {element: type_.list.item for element, below in tree.items() if below}
    else:
        return tree
    changed = {element: found for element, child in types.items() if (found := _reconciled(child, tree[element])) is not tree[element]}
    return {**tree, **changed} if changed else tree


def _concerned(map_: MapType, tree: Tree) -> dict[str, Type]:
    """Return the types of the fields in `tree` that may have atomic values below.

    Only few declared fields have such values."""
    if map_.element is None or not map_.element.atomic_below:
        return {element: type_ for element, type_ in map_.atomic_below.items() if tree.get(element)}
    return {element: map_.type_of(element[2:]) for element, below in tree.items() if below and element.startswith("f:")}
