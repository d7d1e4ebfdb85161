"""Cover field sets that were written under another schema."""

from __future__ import annotations

import copy

from hypothesis import given

from apiserver.registry.fieldmanager.fieldset import EMPTY, FieldSet
from apiserver.registry.fieldmanager.reconcile import reconcile
from apiserver.registry.fieldmanager.schema import compile_schema
from apiserver.registry.fieldmanager.typed import to_field_set
from tests.unit.apiserver.registry.fieldmanager.examples import FEW, SCHEMA, THING, fields, things


def test_what_became_atomic_is_owned_as_a_whole() -> None:
    schema = copy.deepcopy(SCHEMA)
    spec = schema["properties"]["spec"]["properties"]
    spec["tags"]["x-kubernetes-list-type"] = spec["nested"]["properties"]["deep"]["x-kubernetes-map-type"] = "atomic"
    old = FieldSet(fields(tags={".": {}, 'v:"a"': {}}, nested={"f:deep": {"f:y": {}}, "f:x": {}}, image={}))
    assert reconcile(compile_schema(schema), old) == FieldSet(fields(tags={}, nested={"f:deep": {}, "f:x": {}}, image={}))


def test_items_of_lists_and_maps_are_looked_into() -> None:
    schema = copy.deepcopy(SCHEMA)
    old = FieldSet(fields(ports={'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:name": {"f:x": {}}}}))
    schema["properties"]["spec"]["properties"]["ports"]["items"]["properties"]["name"] = {"type": "array", "items": {"type": "string"}}
    assert reconcile(compile_schema(schema), old) == FieldSet(fields(ports={'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:name": {}}}))


@FEW
@given(things)
def test_field_sets_that_fit_the_schema_are_returned_unchanged(obj: dict[str, object]) -> None:
    owned = to_field_set(THING, obj)
    assert reconcile(THING, owned) is owned


def test_of_nothing_and_of_what_no_schema_describes_nothing_changes() -> None:
    free = FieldSet(fields(free={"f:a": {"f:b": {'v:"x"': {}}}}, unheard={"f:a": {}}))
    assert reconcile(THING, free) is free
    assert reconcile(THING, EMPTY) is EMPTY
