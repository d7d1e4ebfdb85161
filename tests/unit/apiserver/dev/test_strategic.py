"""Cover strategic merge patch."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.dev.strategic import strategic_merge
from apiserver.registry.generic.patch import merge_patch
from tests.unit.cost import assert_cheaper

KEYS = st.sampled_from(["a", "b", "metadata", "data"])
VALUES = st.recursive(st.none() | st.booleans() | st.text(max_size=2), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=6)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


@given(OBJECTS, OBJECTS)
def test_without_lists_it_is_a_merge_patch(current: dict[str, Any], patch: dict[str, Any]) -> None:
    assert strategic_merge(current, patch) == merge_patch(current, patch)


@pytest.mark.parametrize(
    ("current", "patch", "wanted"),
    [
        (
            {"finalizers": ["a", "b"]},
            {"finalizers": ["b", "c"], "$setElementOrder/finalizers": ["b", "c"]},
            {"finalizers": ["a", "b", "c"]},
        ),
        ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
        (
            {"ownerReferences": [{"uid": "1", "name": "x"}]},
            {"ownerReferences": [{"uid": "1", "$patch": "delete"}]},
            {"ownerReferences": []},
        ),
        (
            {"ownerReferences": [{"uid": "1", "name": "x"}]},
            {"ownerReferences": [{"uid": "1", "name": "y"}, {"uid": "2"}]},
            {"ownerReferences": [{"uid": "1", "name": "y"}, {"uid": "2"}]},
        ),
        ({"data": {"a": "1"}}, {"data": {"$patch": "replace", "b": "2"}}, {"data": {"b": "2"}}),
        ({"data": {"a": "1"}}, {"data": {"$patch": "delete"}}, {"data": {}}),
        ({"data": {"a": "1", "b": "2"}}, {"data": {"$retainKeys": ["b"], "b": "3"}}, {"data": {"b": "3"}}),
        ({"other": [1, 2]}, {"other": [3]}, {"other": [3]}),
    ],
)
def test_lists_and_directives(current: dict[str, Any], patch: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert strategic_merge(current, patch) == wanted


@pytest.mark.parametrize(
    "patch", [{"$patch": "what"}, {"$what": 1}, {"finalizers": "x"}, {"ownerReferences": [{"name": "x"}]}, {"ownerReferences": ["x"]}]
)
def test_invalid_strategic_merge_patches_are_refused(patch: dict[str, Any]) -> None:
    with pytest.raises(ApiError):
        strategic_merge({"finalizers": [], "ownerReferences": []}, patch)


@pytest.mark.parametrize("field", ["finalizers", "$deleteFromPrimitiveList/finalizers", "ownerReferences"])
def test_lists_cost_less_than_comparing_their_items_with_each_other(field: str) -> None:
    texts = [f"example.com/{number:06}" for number in range(6000)]
    old, new = texts[:4000], texts[2000:]
    before, patch = ([{"uid": text} for text in part] if field == "ownerReferences" else part for part in (old, new))
    merge = partial(strategic_merge, {field.rpartition("/")[2]: before}, {field: patch})
    assert_cheaper(merge, lambda: [item for item in new if item not in old])


def test_items_deleted_and_added_again() -> None:
    current = {"ownerReferences": [{"uid": "a"}, {"uid": "b"}]}
    patch = {"ownerReferences": [{"uid": "a", "$patch": "delete"}, {"uid": "c", "$patch": "delete"}, {"uid": "a", "x": 1}]}
    assert strategic_merge(current, patch) == {"ownerReferences": [{"uid": "b"}, {"uid": "a", "x": 1}]}
