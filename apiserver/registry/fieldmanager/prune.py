"""Remove the fields that an applier gives up by no longer applying them.

The rules are those of structured-merge-diff's merge/update.go. A field is removed if its applier
applied it last time but not now, and no other manager owns it. A field without an owner stays, even
below a removed one. Unlike upstream, an object or list that stays and becomes empty is empty, not
null: where the schema allows no null, kube-apiserver refuses the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apiserver.registry.fieldmanager.fieldset import FieldSet
from apiserver.registry.fieldmanager.schema import Type
from apiserver.registry.fieldmanager.typed import named_fields, remove_items, to_field_set


def prune(type_: Type, merged: dict[str, Any], last: FieldSet, current: FieldSet, others: Iterable[FieldSet]) -> dict[str, Any]:
    """Return `merged` without the fields that its applier gave up.

    `last` are the applier's fields before, and `current` its fields now. `others` are the fields of
    other managers."""
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
    # Restore the fields that others own, and then those that the applier did not own either.
    pruned = remove_items(type_, merged, gone(pruned) - managed)
    return remove_items(type_, merged, gone(pruned) & last, nulls=False)
