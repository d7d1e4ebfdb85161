"""Cover server-side apply."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from apiserver.registry.fieldmanager import ApplyConflict, ApplyRefused, FieldSet, SchemaMismatch, apply, compile_schema, track_update
from apiserver.registry.fieldmanager.compare import compare
from apiserver.registry.fieldmanager.managers import STRIPPED
from apiserver.registry.fieldmanager.typed import to_field_set
from tests.unit.apiserver.registry.fieldmanager.examples import (
    API_VERSION,
    FEW,
    KIND,
    NOW,
    SCHEMA,
    STATUS,
    THEN,
    THING,
    fields,
    thing,
    things,
)

Object = dict[str, Any]


def applied(live: Object | None, obj: Object, manager: str = "anna", **rest: Any) -> Object:
    return apply(THING, live, obj, **{"manager": manager, "api_version": API_VERSION, "now": NOW, "reset": STATUS, **rest})


def updated(live: Object | None, new: Object, manager: str = "ben", **rest: Any) -> Object:
    """Return what a PUT stores."""
    found = track_update(THING, live, new, **{"manager": manager, "api_version": API_VERSION, "now": THEN, "reset": STATUS, **rest})
    return {**new, "metadata": {**new["metadata"], "uid": "u", "managedFields": found}}


def owners(obj: Object) -> dict[str, Object]:
    """Return FieldsV1 by operation and manager."""
    return {f"{found['operation']} {found['manager']}": found["fieldsV1"] for found in obj["metadata"]["managedFields"]}


def times(obj: Object) -> dict[str, str | None]:
    return {found["manager"]: found.get("time") for found in obj["metadata"]["managedFields"]}


def test_apply_creates() -> None:
    found = applied(None, thing({"image": "a", "nested": {"x": 1}}))
    assert found["spec"] == {"image": "a", "nested": {"x": 1}}
    assert found["metadata"]["managedFields"] == [
        {
            "manager": "anna",
            "operation": "Apply",
            "apiVersion": API_VERSION,
            "time": NOW,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields(image={}, nested={"f:x": {}}),
        }
    ]


def test_fields_that_are_no_longer_applied_are_removed() -> None:
    live = applied(None, thing({"image": "a", "selector": {"a": "1", "b": "2"}, "tags": ["x", "y"]}))
    found = applied(live, thing({"selector": {"b": "2"}, "tags": ["y"]}))
    assert found["spec"] == {"selector": {"b": "2"}, "tags": ["y"]}


def test_fields_of_other_managers_stay_after_an_empty_apply() -> None:
    live = applied(applied(None, thing({"image": "a", "replicas": 1})), thing({"image": "a"}), "cleo")
    live = updated(live, {**live, "spec": {**live["spec"], "paused": True}})
    found = applied(live, thing({}))
    assert found["spec"] == {"image": "a", "paused": True}
    assert owners(found) == {"Apply anna": fields() or {}, "Apply cleo": fields(image={}), "Update ben": fields(paused={})} | {
        "Apply anna": {"f:spec": {}}
    }


def test_fields_without_a_manager_stay_even_below_an_item_that_is_removed() -> None:
    live = applied(None, thing({"ports": [{"port": 1, "name": "a"}, {"port": 2}]}))
    live["spec"]["ports"][0]["protocol"] = "TCP"
    found = applied(live, thing({"ports": [{"port": 2}]}))
    assert found["spec"]["ports"] == [{"port": 2}]


def test_an_item_that_another_has_a_field_in_stays_with_that_field() -> None:
    live = applied(None, thing({"ports": [{"port": 1, "protocol": "TCP", "name": "a"}]}))
    live = applied(live, thing({"ports": [{"port": 1, "protocol": "TCP"}]}), "cleo")
    found = applied(live, thing({}))
    assert found["spec"]["ports"] == [{"port": 1, "protocol": "TCP"}]


def test_fields_that_are_applied_empty_are_empty() -> None:
    live = applied(None, thing({"nested": {"x": 1}, "selector": {"a": "b"}}))
    assert applied(live, thing({"nested": {}, "selector": {}}))["spec"] == {"nested": {}, "selector": {}}
    assert applied(live, thing({}))["spec"] == {}


def test_an_applier_without_fields_is_no_manager() -> None:
    live = updated(applied(None, thing({"image": "a"})), thing({"image": "a", "replicas": 1}))
    assert list(owners(applied(live, thing()))) == ["Update ben"]


def test_conflicts_are_reported_with_their_owners() -> None:
    live = updated(None, thing({"image": "a", "replicas": 1}))
    live = applied(live, thing({"tags": ["a"], "args": ["x"]}), "cleo")
    live = {**live, "status": {"phase": "x"}}
    with pytest.raises(ApplyConflict) as caught:
        applied(live, thing({"image": "b", "replicas": 2, "args": ["y"], "tags": ["b"]}))
    assert str(caught.value) == (
        "Apply failed with 3 conflicts: "
        'conflicts with "ben" using example.com/v1:\n- .spec.image\n- .spec.replicas\nconflicts with "cleo":\n- .spec.args'
    )
    assert caught.value.causes()[0] == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "ben" using example.com/v1',
        "field": ".spec.image",
    }


def test_one_conflict_is_reported_in_a_line() -> None:
    live = updated(None, thing({"image": "a"}), subresource="status", reset=FieldSet({}))
    with pytest.raises(ApplyConflict) as caught:
        applied(live, thing({"image": "b"}))
    reported = 'conflict with "ben" with subresource "status" using example.com/v1: .spec.image'
    assert str(caught.value) == f"Apply failed with 1 conflict: {reported}"


def test_force_takes_what_is_in_conflict() -> None:
    live = updated(None, thing({"image": "a", "replicas": 1}))
    found = applied(live, thing({"image": "b"}), force=True)
    assert found["spec"] == {"image": "b", "replicas": 1}
    assert owners(found) == {"Apply anna": fields(image={}), "Update ben": {"f:spec": {".": {}, "f:replicas": {}}}}


def test_the_same_value_is_owned_together() -> None:
    found = applied(updated(None, thing({"image": "a"})), thing({"image": "a"}))
    assert owners(found) == {"Apply anna": fields(image={}), "Update ben": {"f:spec": {".": {}, "f:image": {}}}}


def test_times_stay_when_nothing_changes() -> None:
    live = applied(None, thing({"image": "a", "replicas": 1}), now=THEN)
    assert applied(live, thing({"image": "a", "replicas": 1})) == live
    assert times(applied(live, thing({"image": "b", "replicas": 1}))) == {"anna": NOW}


def test_a_new_applier_of_what_is_there_has_no_time() -> None:
    # As upstream, a time says when a manager last changed the object.
    live = applied(None, thing({"image": "a"}), now=THEN)
    assert times(applied(live, thing({"image": "a"}), "cleo")) == {"anna": THEN, "cleo": None}


def test_an_untracked_object_belongs_to_before_first_apply() -> None:
    live = thing({"image": "a", "replicas": 1}, uid="u")
    found = applied(live, thing({"paused": True}))
    assert owners(found) == {
        "Apply anna": fields(paused={}),
        "Update before-first-apply": {"f:spec": {".": {}, "f:image": {}, "f:replicas": {}}},
    }


def test_what_this_way_of_writing_cannot_change_is_not_owned() -> None:
    found = applied(None, {**thing({"image": "a"}), "status": {"phase": "x"}})
    assert owners(found) == {"Apply anna": fields(image={})}


def test_a_version_that_is_gone_owns_nothing() -> None:
    live = applied(None, thing({"image": "a"}))
    live["metadata"]["managedFields"][0]["apiVersion"] = "example.com/v0"
    found = applied(live, thing({"replicas": 1}))
    assert found["spec"] == {"image": "a", "replicas": 1}
    assert "Apply anna" in owners(found)


def test_a_field_that_became_atomic_is_owned_as_a_whole() -> None:
    live = applied(None, thing({"selector": {"a": "b"}, "ports": [{"port": 1}]}), now=THEN)
    schema = copy.deepcopy(SCHEMA)
    spec = schema["properties"]["spec"]["properties"]
    spec["selector"]["x-kubernetes-map-type"] = spec["ports"]["x-kubernetes-list-type"] = "atomic"
    with pytest.raises(ApplyConflict) as caught:
        apply(
            compile_schema(schema),
            live,
            thing({"selector": {"c": "d"}, "ports": []}),
            manager="cleo",
            api_version=API_VERSION,
            now=NOW,
        )
    assert [path for path, _ in caught.value.conflicts] == [".spec.ports", ".spec.selector"]


@pytest.mark.parametrize(
    ("wrong", "reported"),
    [
        (thing({}, managedFields=[]), r"metadata\.managedFields must be nil"),
        ({**thing({}), "apiVersion": "example.com/v2"}, f"invalid object type: example.com/v2, Kind={KIND}"),
        ({"kind": KIND, "metadata": {"name": "a"}}, f"invalid object type: /, Kind={KIND}"),
    ],
)
def test_invalid_apply_configurations_are_refused(wrong: Object, reported: str) -> None:
    with pytest.raises(ApplyRefused, match=reported):
        applied(None, wrong)


def test_applied_fields_that_are_not_in_the_schema_are_refused() -> None:
    with pytest.raises(SchemaMismatch) as caught:
        applied(None, thing({"imag": "a"}, namespace="n"))
    assert str(caught.value) == (
        "failed to create typed patch object (n/a; example.com/v1, Kind=Thing): .spec.imag: field not declared in schema"
    )
    with pytest.raises(SchemaMismatch, match=r"\.metadata: expected map"):
        applied(None, {**thing({}), "metadata": []})


def test_applied_objects_that_are_nested_too_deeply_are_refused() -> None:
    deep: Object = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ApplyRefused, match="nested too deeply"):
        applied(None, thing({"free": deep}))


@FEW
@given(things, things)
def test_applying_twice_is_applying_once(live: Object, obj: Object) -> None:
    once = applied(updated(None, live), obj, force=True, now=THEN)
    before = copy.deepcopy((once, obj))
    assert applied(once, obj) == once
    assert (once, obj) == before


@FEW
@given(things, things)
def test_a_manager_owns_what_it_applies(live: Object, obj: Object) -> None:
    found = owners(applied(updated(None, live), obj, force=True))
    assert FieldSet(found["Apply anna"]) == to_field_set(THING, obj) - STRIPPED


@FEW
@given(things, things, things)
def test_applied_fields_of_other_managers_are_kept(first: Object, mine: Object, less: Object) -> None:
    """Check that a field which one manager applied, and no other has changed, stays after another
    manager's next apply."""
    live = applied(applied(None, first, "cleo"), mine, force=True)
    found = applied(live, less, force=True)
    kept = FieldSet(owners(found).get("Apply cleo", {}))
    assert not kept - compare(THING, {}, found).added
    assert not kept & compare(THING, first, found).modified


@FEW
@given(things, things)
def test_alone_an_applier_gets_what_it_applies_and_loses_what_it_does_not(first: Object, second: Object) -> None:
    for obj in (first, second):
        # As upstream, an empty list whose items are owned one by one has no owner, and does not
        # keep the fields around it.
        obj["spec"] = {name: value for name, value in obj["spec"].items() if value != []}
    found = applied(applied(None, first), second)
    wanted = to_field_set(THING, second)
    changes = compare(THING, second, found)
    assert not wanted & (changes.modified | changes.removed)
    assert not to_field_set(THING, found) & (to_field_set(THING, first) - wanted)
