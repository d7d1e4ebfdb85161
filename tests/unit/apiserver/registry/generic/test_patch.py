"""Cover merge patch (RFC 7386) and JSON patch (RFC 6902)."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.registry.generic.patch import COPIED, MAX_OPERATIONS, json_patch, merge_patch, operations_of
from tests.unit.cost import assert_cheaper

SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x"])
KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=3)


def without_nulls(value: Any) -> Any:
    """Return the value as merging leaves it: without null members of objects (those in lists
    stay)."""
    return {k: without_nulls(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def reference(target: Any, patch: Any) -> Any:
    """Implement the pseudo code of RFC 7386, section 2, word for word."""
    if isinstance(patch, dict):
        if not isinstance(target, dict):
            target = {}
        for name, value in patch.items():
            if value is None:
                if name in target:
                    del target[name]
            else:
                target[name] = reference(target.get(name), value)
        return target
    return patch


@given(VALUES, VALUES)
def test_merging_is_what_the_rfc_says_and_changes_neither(target: Any, patch: Any) -> None:
    before = copy.deepcopy((target, patch))
    result = merge_patch(target, patch)
    assert (target, patch) == before
    assert result == reference(copy.deepcopy(target), copy.deepcopy(patch))


@given(VALUES, VALUES)
def test_merging_twice_changes_nothing_more(target: Any, patch: Any) -> None:
    once = merge_patch(target, patch)
    assert merge_patch(once, patch) == once


@given(OBJECTS, OBJECTS)
def test_a_difference_leads_to_the_wanted_object(before: dict[str, Any], after: dict[str, Any]) -> None:
    before, after = without_nulls(before), without_nulls(after)

    def difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
        for key, value in new.items():
            both = isinstance(value, dict) and isinstance(old.get(key), dict)
            found[key] = difference(old[key], value) if both else value
        return found

    assert merge_patch(before, difference(before, after)) == after


def apply(target: Any, *operations: dict[str, Any]) -> Any:
    return json_patch(target, operations_of(list(operations)))


def test_json_patch_operations() -> None:
    result = apply(
        {"a": {"b": [1, 2]}, "c": 1},
        {"op": "test", "path": "/a/b/0", "value": 1},
        {"op": "add", "path": "/a/b/-", "value": 3},
        {"op": "replace", "path": "/c", "value": 2},
        {"op": "copy", "from": "/a/b", "path": "/d"},
        {"op": "move", "from": "/c", "path": "/e~1f"},
        {"op": "remove", "path": "/a/b/0"},
    )
    assert result == {"a": {"b": [2, 3]}, "d": [1, 2, 3], "e/f": 2}


def test_adding_the_root_replaces_the_document() -> None:
    assert apply({"a": 1}, {"op": "add", "path": "", "value": {"b": 2}}) == {"b": 2}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": True},
        {"op": "test", "path": "/x", "value": 2},
        {"op": "remove", "path": "/x"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/x", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/l/7", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/a/b", "value": 1},
        {"op": "copy", "from": "/x", "path": "/y"},
        {"op": "move", "from": "/l", "path": "/l/0"},
        {"op": "add", "path": "/~2", "value": 1},
    ],
)
def test_what_cannot_be_done_is_unprocessable(operation: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as refused:
        apply({"a": 1, "l": [1]}, operation)
    assert (refused.value.code, refused.value.reason) == (422, "Invalid")


@pytest.mark.parametrize(
    "patch",
    [
        {},
        "x",
        [1],
    ],
)
def test_what_is_no_json_patch_is_a_bad_request(patch: Any) -> None:
    with pytest.raises(ApiError) as refused:
        operations_of(patch)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    "patch",
    [
        [{}],
        [{"op": "frob", "path": "/a"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "copy", "path": "/a"}],
        [{"op": ["add"], "path": "/a", "value": 1}],
    ],
)
def test_invalid_operations_of_a_patch_are_refused(patch: Any) -> None:
    with pytest.raises(ApiError) as refused:
        operations_of(patch)
    assert refused.value.code == 422


def test_a_test_for_null_holds_where_nothing_is() -> None:
    assert apply({"a": 1}, {"op": "test", "path": "/b", "value": None}) == {"a": 1}


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(ApiError) as refused:
        operations_of([{"op": "test", "path": "/a", "value": 1}] * (MAX_OPERATIONS + 1))
    assert refused.value.code == 413


def test_copies_cannot_grow_without_bound() -> None:
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{n}"} for n in range(40)]
    with pytest.raises(ApiError, match=f"more than {COPIED} bytes"):
        apply({"a": {"x": "y"}}, *doubling)


@given(OBJECTS, st.lists(st.tuples(st.sampled_from(["add", "remove", "replace", "test", "copy", "move"]), KEYS, KEYS, SCALARS), max_size=6))
def test_any_operations_make_a_value_or_say_why_not(target: dict[str, Any], parts: list[tuple[str, str, str, Any]]) -> None:
    operations = [{"op": op, "path": f"/{one}/{two}", "from": f"/{two}", "value": value} for op, one, two, value in parts]
    try:
        assert isinstance(apply(target, *operations), dict)
    except ApiError as error:
        assert error.code == 422  # noqa: PT017 - either outcome is right


def test_copies_cannot_multiply_values() -> None:
    operations = operations_of([{"op": "copy", "from": "/a", "path": f"/b{number}"} for number in range(20)])
    items: tuple[Any, ...] = ({}, "")
    for item in items:
        with pytest.raises(ApiError, match="values in all"):
            json_patch({"a": [item] * 1000}, operations)


def test_pointers_are_bounded() -> None:
    assert operations_of([{"op": "remove", "path": "/a" * 4000}] * 4)
    with pytest.raises(ApiError, match="parts in all"):
        operations_of([{"op": "move", "from": "/a" * 4000, "path": "/a" * 4001}] * 2)


def test_a_missing_path_is_reported_without_quoting_the_document() -> None:
    document = {"a": {str(number): "x" * 100 for number in range(1000)}}
    with pytest.raises(ApiError) as refused:
        json_patch(document, operations_of([{"op": "replace", "path": "/a/b/c", "value": 1}]))
    assert len(refused.value.message) < 300
    operations = operations_of([{"op": "test", "path": "/a/b/c", "value": None}] * 1000)
    assert_cheaper(lambda: json_patch(document, operations), lambda: [repr(document) for _ in range(1000)], 1 / 2)


def test_long_pointers_are_refused() -> None:
    with pytest.raises(ApiError, match="characters"):
        operations_of([{"op": "remove", "path": "/" + "a" * 8192}])


MEMBERS = st.lists(st.sampled_from(["a", "b", "0", "-"]), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(OBJECTS, st.sampled_from(["add", "replace", "remove"]), MEMBERS)
def test_members_of_objects_are_set_as_the_library_sets_them(target: dict[str, Any], name: str, path: str) -> None:
    operation = {"op": name, "path": path, "value": 7}
    own = orjson.loads(orjson.dumps(target))
    try:
        wanted = jsonpatch.JsonPatch([operation]).apply(orjson.loads(orjson.dumps(target)))
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError, KeyError, IndexError, ValueError, AttributeError):
        with pytest.raises(ApiError):
            json_patch(own, [operation])
    else:
        assert json_patch(own, [operation]) == wanted
