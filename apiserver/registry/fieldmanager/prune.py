"""Which fields an applier gives up by no longer applying them, and the object without these. Pure.

The rules of structured-merge-diff's merge/update.go: a field goes when its applier applied it last time, does not this time, and nobody
else owns it. What nobody owned stays, even below something that goes. Other than upstream, an object or list that stays and has become
empty is empty, not null: kube-apiserver refuses what comes of it where the schema allows no null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.registry.fieldmanager.typed import named_fields, remove_items, to_field_set

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apiserver.registry.fieldmanager.fieldset import FieldSet
    from apiserver.registry.fieldmanager.schema import Type

__all__ = ["prune"]


def prune(type_: Type, merged: dict[str, Any], last: FieldSet, current: FieldSet, others: Iterable[FieldSet]) -> dict[str, Any]:
    """`merged` without what its applier gave up. `last`: what it owned before; `current`: what it owns now; `others`: what others own."""
    if last == current or not last - current:
        return merged
    managed = current
    for fields in others:
        managed |= fields
    last, managed = named_fields(type_, last), named_fields(type_, managed)
    everything = named_fields(type_, to_field_set(type_, merged))

    def gone(pruned: dict[str, Any]) -> FieldSet:
        return everything - named_fields(type_, to_field_set(type_, pruned))

    pruned = remove_items(type_, merged, last)
    # What others own comes back, and then what the applier did not own either.
    pruned = remove_items(type_, merged, gone(pruned) - managed)
    return remove_items(type_, merged, gone(pruned) & last, nulls=False)
