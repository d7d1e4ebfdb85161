"""Cover managedFields on create, PUT and patches."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from apiserver.registry.fieldmanager import FieldSet, track_update
from apiserver.registry.fieldmanager.compare import compare
from apiserver.registry.fieldmanager.managers import STRIPPED
from tests.unit.apiserver.registry.fieldmanager.examples import API_VERSION, FEW, NOW, STATUS, THEN, THING, fields, thing, things

Object = dict[str, Any]


def track(live: Object | None, new: Object, manager: str = "anna", **rest: Any) -> list[Object]:
    return track_update(THING, live, new, **{"manager": manager, "api_version": API_VERSION, "now": NOW, "reset": STATUS, **rest})


def stored(spec: Object, *entries: Object) -> Object:
    """Return a live object with these managedFields."""
    return thing(spec, uid="u", resourceVersion="1", managedFields=list(entries))


def entry(manager: str, tree: Object, operation: str = "Update", **rest: Any) -> Object:
    found = {"manager": manager, "operation": operation, "apiVersion": API_VERSION, "time": THEN, "fieldsType": "FieldsV1"}
    return {**found, "fieldsV1": tree, **rest}


def changed(live: Object, **spec: Any) -> Object:
    """Return a copy with other fields of spec; None removes one."""
    found = copy.deepcopy(live)
    found["spec"] = {name: value for name, value in {**found["spec"], **spec}.items() if value is not None}
    return found


def test_a_creator_owns_everything_but_what_is_the_systems() -> None:
    new = thing({"image": "a"}, namespace="n", labels={"x": "y"}, finalizers=["f"], ownerReferences=[{"uid": "u", "name": "o"}])
    new["status"] = {"phase": "Ready"}
    (found,) = track(None, new)
    assert found == {
        "manager": "anna",
        "operation": "Update",
        "apiVersion": API_VERSION,
        "time": NOW,
        "fieldsType": "FieldsV1",
        "fieldsV1": {
            "f:metadata": {
                "f:labels": {".": {}, "f:x": {}},
                "f:finalizers": {".": {}, 'v:"f"': {}},
                "f:ownerReferences": {".": {}, 'k:{"uid":"u"}': {}},
            },
            "f:spec": {".": {}, "f:image": {}},
        },
    }


@FEW
@given(things)
def test_a_creator_owns_what_differs_from_nothing(new: Object) -> None:
    owned = compare(THING, {}, new).added.without(STATUS) - STRIPPED
    assert [FieldSet(found["fieldsV1"]) for found in track(None, new)] == ([owned] if owned else [])


def test_a_manager_without_a_name_is_called_unknown() -> None:
    (found,) = track(None, thing({"image": "a"}), "")
    assert found["manager"] == "unknown"


def test_a_manager_that_changes_a_field_owns_it() -> None:
    live = stored({"image": "a", "replicas": 1}, entry("ben", fields(image={}, replicas={})))
    assert track(live, changed(live, image="b")) == [entry("ben", fields(replicas={})), entry("anna", fields(image={}), time=NOW)]


def test_a_manager_without_fields_is_dropped_and_removed_fields_have_none() -> None:
    live = stored({"image": "a", "replicas": 1}, entry("ben", fields(image={})), entry("cleo", fields(replicas={})))
    assert track(live, changed(live, image=None)) == [entry("cleo", fields(replicas={}))]


def test_an_update_adds_to_what_its_manager_has() -> None:
    live = stored({"image": "a"}, entry("anna", fields(image={})))
    assert track(live, changed(live, replicas=2)) == [entry("anna", fields(image={}, replicas={}), time=NOW)]


def test_an_applier_of_the_same_name_is_another() -> None:
    live = stored({"image": "a"}, entry("anna", fields(image={}), "Apply"))
    assert [found["operation"] for found in track(live, changed(live, replicas=2))] == ["Apply", "Update"]


def test_a_subresource_is_another_manager_and_changes_only_what_it_may() -> None:
    live = stored({"image": "a"}, entry("anna", fields(image={})))
    new = {**changed(live, image="b"), "status": {"phase": "x"}}
    spec = FieldSet.of(("f:metadata",), ("f:spec",))
    assert track(live, new, subresource="status", reset=spec) == [
        entry("anna", fields(image={})),
        entry("anna", {"f:status": {".": {}, "f:phase": {}}}, time=NOW, subresource="status"),
    ]
    assert track(live, {**live, "status": {"phase": "x"}}) == [entry("anna", fields(image={}))]


def test_what_changes_nothing_that_is_tracked_leaves_entries_and_times() -> None:
    live = stored({"tags": ["a", "b"]}, entry("ben", fields(tags={'v:"a"': {}, 'v:"b"': {}})))
    new = changed(live, tags=["b", "a"])
    new["metadata"] |= {"resourceVersion": "9", "generation": 7, "uid": "other"}
    assert track(live, new) == live["metadata"]["managedFields"]


def test_neither_object_is_changed() -> None:
    live = stored({"selector": {"a": "b"}}, entry("ben", fields(selector={"f:a": {}})))
    new = changed(live, selector={"a": "c", "d": "e"}, image="x")
    before = copy.deepcopy((live, new))
    track(live, new)
    assert (live, new) == before


class TestWhatClientsSend:
    live = stored({"image": "a"}, entry("ben", fields(image={})))

    def sent(self, entries: Any, **rest: Any) -> list[Object]:
        new = copy.deepcopy(self.live)
        new["metadata"]["managedFields"] = entries
        return track(self.live, new, **rest)

    @pytest.mark.parametrize("entries", [None, [], "text", [1], [{"manager": "x"}]])
    def test_no_managed_fields_leave_what_is_stored(self, entries: Any) -> None:
        assert self.sent(entries) == [entry("ben", fields(image={}))]

    def test_left_out_managed_fields_leave_what_is_stored(self) -> None:
        new = thing({"image": "a"}, uid="u")
        assert track(self.live, new) == [entry("ben", fields(image={}))]

    def test_one_empty_entry_forgets_all_and_stops_tracking(self) -> None:
        assert self.sent([{}]) == []
        untracked = stored({"image": "a"})
        assert track(untracked, changed(untracked, image="b")) == []

    def test_one_empty_entry_at_creation_is_as_none(self) -> None:
        assert track(None, thing({"image": "a"}, managedFields=[{}])) == track(None, thing({"image": "a"}))

    def test_managed_fields_may_be_edited(self) -> None:
        assert self.sent([entry("cleo", fields(image={}))]) == [entry("cleo", fields(image={}))]

    def test_edited_ones_are_put_in_order(self) -> None:
        first, second = entry("ben", fields(image={})), entry("cleo", fields(replicas={}), time="2023-01-01T00:00:00Z")
        assert self.sent([first, second]) == [second, first]

    def test_of_two_entries_of_one_manager_the_later_holds(self) -> None:
        first, second = entry("cleo", fields(replicas={})), entry("cleo", fields(image={}), time="2023-01-01T00:00:00Z")
        assert self.sent([first, second]) == [second]

    def test_edited_ones_become_canonical(self) -> None:
        tree = fields(ports={'k:{"protocol":"TCP", "port":1}': {".": {}}})
        (found,) = self.sent([entry("cleo", tree, time="2024-01-01T02:00:00.5+02:00")])
        assert found == entry("cleo", fields(ports={'k:{"port":1,"protocol":"TCP"}': {}}))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"operation": "Delete"},
            {"apiVersion": ""},
            {"fieldsType": "FieldsV2"},
            {"fieldsV1": []},
            {"fieldsV1": {"spec": {}}},
            {"time": "soon"},
            {"manager": 1},
        ],
    )
    def test_wrong_ones_are_ignored(self, wrong: Object) -> None:
        assert self.sent([{**entry("cleo", fields(image={})), **wrong}]) == [entry("ben", fields(image={}))]

    def test_a_subresource_cannot_edit_them(self) -> None:
        assert self.sent([{}], subresource="status") == [entry("ben", fields(image={}))]


def test_entries_of_versions_that_are_gone_are_dropped() -> None:
    live = stored({"image": "a"}, entry("ben", fields(image={})), entry("old", fields(image={}), apiVersion="example.com/v0"))
    assert track(live, copy.deepcopy(live)) == [entry("ben", fields(image={}))]


def test_the_order_of_entries() -> None:
    tree = fields(image={})
    ordered = [
        entry("z", tree, "Apply"),
        entry("c", tree, time=""),
        entry("d", tree, time="2020-01-01T00:00:00Z"),
        entry("a", tree),
        entry("a", tree, subresource="status"),
        entry("b", tree),
    ]
    live = stored({"image": "a"}, *reversed(ordered))
    live["metadata"]["managedFields"][-2].pop("time")
    assert [found["manager"] for found in track(live, changed(live, replicas=1), "me")] == ["z", "c", "d", "a", "a", "b", "me"]


def test_the_oldest_of_too_many_updaters_are_put_together() -> None:
    names = [f"m{number}" for number in range(11)]
    old = [entry(name, fields(selector={f"f:{name}": {}}), time=f"2024-01-{number + 1:02}T00:00:00Z") for number, name in enumerate(names)]
    live = stored({}, *old)
    found = track(live, changed(live, image="a"))
    assert len(found) == 10
    ancient = found[0]
    assert ancient == entry("ancient-changes", fields(selector={"f:m0": {}, "f:m1": {}, "f:m2": {}}), time="2024-01-03T00:00:00Z"), (
        "three make one, so that ten are left"
    )
    again = stored({"image": "a"}, *found)
    assert len(track(again, changed(again, replicas=1), "other")) == 10


def test_the_bucket_of_old_changes_is_never_lost() -> None:
    bucket = entry("ancient-changes", fields(selector={"f:old": {}}))
    live = stored({}, *(entry(f"a{number}", fields(selector={f"f:{number}": {}})) for number in range(10)), bucket)
    owned = {name for found in track(live, copy.deepcopy(live) | {"spec": {"image": "a"}}) for name in _selector(found)}
    assert owned == {"f:old", *(f"f:{number}" for number in range(10))}


def _selector(found: Object) -> set[str]:
    return set(found["fieldsV1"]["f:spec"].get("f:selector", {}))


def test_items_without_distinct_keys_have_no_manager() -> None:
    live = stored({"image": "a"}, entry("ben", fields(image={})))
    assert track(live, changed(live, tags=["a", None])) == []
    assert track(live, changed(live, ports=[{"name": "x"}, {}])) != [], "the protocol's default tells them apart"
    assert track(live, {**live, "status": {"conditions": [{}]}}) == []


def test_fields_that_are_nested_too_deeply_have_no_manager() -> None:
    deep: Object = {}
    for _ in range(100_000):
        deep = {"a": deep}
    live = stored({"image": "a"}, entry("ben", fields(image={})))
    assert track(live, changed(live, free=deep)) == []
    sent = thing({"image": "a"}, managedFields=[entry("cleo", {"f:a": deep})])
    assert track(live, sent) == [entry("ben", fields(image={}))]


@FEW
@given(things, things, things)
def test_every_changed_field_has_one_updater(first: Object, second: Object, third: Object) -> None:
    entries = track(None, first, "one")
    live = {**first, "metadata": {**first["metadata"], "managedFields": entries}}
    for name, new in (("two", second), ("three", third)):
        entries = track(live, new, name)
        live = {**new, "metadata": {**new["metadata"], "managedFields": entries}}
    owned = [FieldSet(found["fieldsV1"]) for found in entries]
    for number, one in enumerate(owned):
        assert one, "nobody is listed without a field"
        assert not any(one & other for other in owned[number + 1 :])
