"""Cover fields of an object, comparison, merge and removal: the laws they obey, and upstream's
corner cases."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from apiserver.registry.fieldmanager.compare import compare
from apiserver.registry.fieldmanager.errors import SchemaMismatch
from apiserver.registry.fieldmanager.fieldset import FieldSet
from apiserver.registry.fieldmanager.merge import merge
from apiserver.registry.fieldmanager.typed import named_fields, remove_items, to_field_set, validate
from tests.unit.apiserver.registry.fieldmanager.examples import FEW, THING, fields, thing, things

Object = dict[str, Any]


def listed(spec: Object) -> FieldSet:
    return FieldSet({"f:spec": to_field_set(THING, {"spec": spec}).tree.get("f:spec", {})})


def changes(old: Object, new: Object) -> dict[str, list[str]]:
    """Return what a comparison of two specs finds, below .spec."""
    found = compare(THING, {"spec": old}, {"spec": new})
    return {name: [path.removeprefix(".spec") for path in getattr(found, name).render()] for name in found._fields if getattr(found, name)}


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"image": "a", "nested": {"x": 1}}, fields(image={}, nested={"f:x": {}})),
        ({"args": ["a"]}, fields(args={})),
        ({"frozen": {"a": "b"}}, fields(frozen={})),
        ({"selector": {"a": "b"}}, fields(selector={"f:a": {}})),
        ({"selector": {}, "nested": {}}, fields(selector={}, nested={})),
        ({"tags": ["a"]}, fields(tags={'v:"a"': {}})),
        ({"image": "a", "tags": []}, fields(image={})),
        (
            {"ports": [{"port": 1, "name": "n"}]},
            fields(ports={'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:name": {}}}),
        ),
        ({"free": {"a": {"b": 1, "c": {}}}}, fields(free={"f:a": {".": {}, "f:b": {}, "f:c": {}}})),
        ({"either": {"a": 1}}, fields(either={"f:a": {}})),
        ({"nested": None, "image": None}, fields(nested={}, image={})),
    ],
)
def test_the_fields_that_an_applier_owns(spec: Object, wanted: Object) -> None:
    assert listed(spec) == FieldSet(wanted)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ({"image": "a"}, {"image": "b"}, {"modified": [".image"]}),
        ({}, {"nested": {"x": 1}}, {"added": [".nested", ".nested.x"]}),
        ({"selector": {"a": "b"}}, {"selector": {}}, {"removed": [".selector.a"]}),
        ({"nested": {}}, {"nested": {"x": 1}}, {"added": [".nested.x"]}),
        ({"args": ["a", "b"]}, {"args": ["b", "a"]}, {"modified": [".args"]}),
        ({"frozen": {"a": "b"}}, {"frozen": {"a": "c"}}, {"modified": [".frozen"]}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "c"]}, {"added": ['.tags[="c"]'], "removed": ['.tags[="a"]']}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, {}),
        ({"ports": [{"port": 1, "name": "a"}]}, {"ports": [{"port": 1}]}, {"removed": ['.ports[port=1,protocol="TCP"].name']}),
        ({"ports": []}, {"ports": None}, {"modified": [".ports"]}),
        ({"nested": {}}, {"nested": None}, {"modified": [".nested"]}),
        ({"free": {"a": 1}}, {"free": {"a": True}}, {"modified": [".free.a"]}),
        ({"free": {"a": 1}}, {"free": {"a": 1.0}}, {}),
        ({"free": {"a": 1}}, {"free": {"a": {"b": 1}}}, {"modified": [".free.a"], "added": [".free.a.b"]}),
        ({"free": {"a": {"b": 1}}}, {"free": {"a": [1]}}, {"modified": [".free.a"], "removed": [".free.a.b"]}),
        ({"free": {"a": None}}, {"free": {"a": {"b": 1}}}, {"added": [".free.a.b"]}),
        ({"tags": ["a", "a"]}, {"tags": ["a"]}, {"added": ['.tags[="a"]'], "removed": ['.tags[="a"]']}),
        ({"tags": ["a"]}, {"tags": ["a", "a"]}, {"added": ['.tags[="a"]'], "removed": ['.tags[="a"]']}),
        ({"tags": ["a", "a"]}, {"tags": ["a", "a", "a"]}, {"modified": ['.tags[="a"]']}),
        ({"tags": ["a", "a"]}, {"tags": ["b"]}, {"added": ['.tags[="b"]'], "removed": ['.tags[="a"]']}),
        ({"tags": ["b"]}, {"tags": ["b", "a", "a"]}, {"added": ['.tags[="a"]']}),
    ],
)
def test_comparison(old: Object, new: Object, wanted: dict[str, list[str]]) -> None:
    assert changes(old, new) == wanted


@FEW
@given(things, things)
def test_comparing_the_other_way_round_swaps_added_and_removed(left: Object, right: Object) -> None:
    there, back = compare(THING, left, right), compare(THING, right, left)
    assert (there.added, there.modified, there.removed) == (back.removed, back.modified, back.added)
    assert not there.added & there.removed


@FEW
@given(things)
def test_nothing_differs_from_a_copy(obj: Object) -> None:
    assert not any(compare(THING, obj, copy.deepcopy(obj)))


@FEW
@given(things, things)
def test_merging_sets_what_is_applied_and_removes_nothing(live: Object, applied: Object) -> None:
    # A free-form field may change its kind, which removes something of the old kind.
    live["spec"].pop("free", None)
    before = copy.deepcopy((live, applied))
    merged = merge(THING, live, applied)
    assert (live, applied) == before
    assert not compare(THING, live, merged).removed
    assert not compare(THING, applied, merged).modified
    assert not compare(THING, applied, merged).removed
    assert merge(THING, merged, applied) == merged


@FEW
@given(things)
def test_merging_what_is_there_changes_nothing(obj: Object) -> None:
    assert merge(THING, obj, copy.deepcopy(obj)) == obj


@pytest.mark.parametrize(
    ("live", "applied", "wanted"),
    [
        (["a", "b", "c"], ["b"], ["a", "b", "c"]),
        (["a", "b", "c"], ["c", "a"], ["b", "c", "a"]),
        (["a", "b"], ["c"], ["a", "b", "c"]),
        (["a", "b"], ["b", "c", "a"], ["b", "c", "a"]),
        (["a", "x", "b"], ["b", "n", "a"], ["x", "b", "n", "a"]),
        (["a", "a", "b"], ["a"], ["a", "b"]),
        (["a", "a"], ["b"], ["a", "a", "b"]),
        ([], [], []),
    ],
)
def test_the_order_of_merged_lists(live: list[str], applied: list[str], wanted: list[str]) -> None:
    merged = merge(THING, {"spec": {"tags": live}}, {"spec": {"tags": applied}})
    assert merged["spec"]["tags"] == wanted


def test_null_empties_nothing() -> None:
    assert merge(THING, {"spec": {"nested": {"x": 1}, "image": "a"}}, {"spec": {"nested": None, "image": None}}) == {
        "spec": {"nested": {"x": 1}, "image": None}
    }


@FEW
@given(things, things)
def test_removing_what_is_not_there_changes_nothing(obj: Object, other: Object) -> None:
    absent = to_field_set(THING, other) - compare(THING, {}, obj).added
    assert _emptied(remove_items(THING, obj, absent)) == _emptied(obj)


def _emptied(value: Any) -> Any:
    """Replace empty values by null, because the removal does so with those that it descends
    into."""
    if isinstance(value, dict):
        return {name: _emptied(part) for name, part in value.items()} or None
    return [_emptied(item) for item in value] or None if isinstance(value, list) else value


@FEW
@given(things, things)
def test_removed_fields_are_gone(obj: Object, other: Object) -> None:
    before = copy.deepcopy(obj)
    gone = to_field_set(THING, other)
    left = remove_items(THING, obj, gone)
    assert obj == before
    for path in to_field_set(THING, left).paths():
        # A part that is emptied leaves null, which is a field of its own.
        assert path not in gone or _at(left, path) is None


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for element in path:
        if not element.startswith("f:") or not isinstance(obj, dict):
            return obj
        obj = obj.get(element[2:])
    return obj


def test_what_is_emptied_becomes_null_or_empty() -> None:
    obj = thing({"nested": {"x": 1, "deep": {"y": "a"}}, "tags": ["a"]})
    gone = FieldSet(fields(nested={"f:deep": {"f:y": {}}}, tags={'v:"a"': {}}))
    assert remove_items(THING, obj, gone)["spec"] == {"nested": {"x": 1, "deep": None}, "tags": None}
    assert remove_items(THING, obj, gone, nulls=False)["spec"] == {"nested": {"x": 1, "deep": {}}, "tags": []}


def test_declared_fields_with_members_below_count_as_members() -> None:
    found = named_fields(THING, FieldSet(fields(nested={"f:deep": {"f:y": {}}}, selector={"f:a": {}}, free={"f:a": {"f:b": {}}})))
    assert found.render() == [
        ".spec",
        ".spec.free",
        ".spec.nested",
        ".spec.selector",
        ".spec.free.a.b",
        ".spec.nested.deep",
        ".spec.nested.deep.y",
        ".spec.selector.a",
    ]


@FEW
@given(things)
def test_objects_that_fit_the_schema_are_valid(obj: Object) -> None:
    validate(THING, obj)


@pytest.mark.parametrize(
    ("spec", "reported"),
    [
        ({"imag": "a"}, ".spec.imag: field not declared in schema"),
        ({"image": 1}, ".spec.image: expected string, got 1"),
        ({"replicas": True}, r".spec.replicas: expected numeric \(int or float\), got bool"),
        ({"paused": 1}, ".spec.paused: expected boolean, got 1"),
        ({"nested": [1]}, ".spec.nested: expected map, got list"),
        ({"args": {}}, ".spec.args: expected list, got map"),
        ({"args": ["a", 1]}, r".spec.args\[1\]: expected string, got 1"),
        ({"tags": ["a", "a"]}, r'.spec.tags: duplicate entries for key \[="a"\]'),
        ({"tags": [{}]}, ".spec.tags: element 0: items of a list of type set must be scalars"),
        ({"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}]}, ".spec.ports: duplicate entries"),
        ({"ports": ["a"]}, ".spec.ports: element 0: items of a list with map keys must be objects"),
        (1, ".spec: expected map, got 1"),
    ],
)
def test_what_does_not_fit_is_reported_with_its_place(spec: Any, reported: str) -> None:
    with pytest.raises(SchemaMismatch, match=reported):
        validate(THING, {"spec": spec})


def test_all_that_does_not_fit_is_reported() -> None:
    with pytest.raises(SchemaMismatch) as caught:
        validate(THING, {"spec": {"image": 1, "more": 2}})
    assert [path for path, _ in caught.value.errors] == [".spec.image", ".spec.more"]
    assert str(caught.value).startswith("errors:\n  ")


def test_duplicates_may_be_allowed() -> None:
    validate(THING, {"spec": {"tags": ["a", "a"]}}, duplicates=True)


def test_items_without_keys_cannot_be_compared() -> None:
    with pytest.raises(SchemaMismatch, match="set type"):
        compare(THING, {"status": {"conditions": [{}]}}, {"status": {"conditions": [{"type": "a"}]}})


def test_long_lists_are_merged() -> None:
    tags = [str(number) for number in range(15_000)]
    live, applied = {"spec": {"tags": ["other", *tags]}}, {"spec": {"tags": tags}}
    assert merge(THING, live, applied)["spec"]["tags"][1:] == tags
