"""Field sets that were written when the schema was another. Pure.

Where a list or object has become atomic, whoever owned something in it owns all of it. The other way round nothing is to be done
(structured-merge-diff's typed/reconcile_schema.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.registry.fields.fieldset import FieldSet, Tree

if TYPE_CHECKING:
    from apiserver.registry.fields.schema import Type

__all__ = ["reconcile"]


def reconcile(type_: Type, fields: FieldSet) -> FieldSet:
    """`fields` as it would be, had it been written under this schema; the same object when nothing is to be changed."""
    tree = _reconciled(type_, fields.tree)
    return fields if tree is fields.tree else FieldSet(tree)


def _reconciled(type_: Type, tree: Tree) -> Tree:
    """The new subtree; `tree` itself if it is right as it is."""
    if not tree or _is_deduced(type_):
        return tree
    if type_.map is not None:
        if type_.map.atomic:
            return {}
        children = {element: _field_type(type_, element) for element in tree}
    elif type_.list is not None:
        if type_.list.relation == "atomic":
            return {}
        children = {element: None if element == "." else type_.list.item for element in tree}
    else:
        return tree
    found = {element: below if (child := children[element]) is None else _reconciled(child, below) for element, below in tree.items()}
    return tree if all(found[element] is tree[element] for element in tree) else found


def _field_type(type_: Type, element: str) -> Type | None:
    if type_.map is None or not element.startswith("f:"):
        return None
    declared = type_.map.fields.get(element[2:])
    return declared[1] if declared else type_.map.element


def _is_deduced(type_: Type) -> bool:
    """Of what no schema describes nothing can have changed its type."""
    map_ = type_.map
    return map_ is not None and not map_.fields and map_.element is not None and map_.element.scalar == "untyped"
