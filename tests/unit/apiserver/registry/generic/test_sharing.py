"""Share the parts that an update leaves alone with the stored object, which changes no outcome."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.status import ApiError
from apiserver.registry.generic import metadata
from apiserver.registry.generic.patch import merge_patch
from apiserver.registry.generic.sharing import changed, sharing
from apiserver.registry.generic.validation import normalize
from apiserver.registry.workload import WORKLOADS

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.floats(0, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=1), inner, max_size=2),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.sampled_from(["metadata", "spec", "status", "other"]), VALUES)
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u", "controller": True}
STORED = normalize(
    WORKLOADS,
    {
        "metadata": {
            "name": "w",
            "namespace": "ns",
            "uid": "u",
            "resourceVersion": "7",
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "finalizers": ["e/f"],
            "ownerReferences": [OWNER],
        },
        "spec": {"online": True, "requirements": {"cpuCount": 1}},
        "status": {"phase": "Pending"},
    },
    "w",
)
PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "labels": st.none()
                | st.dictionaries(st.sampled_from(["a", "b/c", "/"]), st.sampled_from(["b", "x", None]) | st.integers(0, 1)),
                "annotations": st.none() | st.dictionaries(st.sampled_from(["c", "d", "+"]), st.sampled_from(["d", "x", None])),
                "finalizers": st.none() | st.lists(st.sampled_from(["e/f", "g/h", "+"])),
                "ownerReferences": st.none() | st.lists(st.sampled_from([OWNER, {**OWNER, "controller": 1}, {**OWNER, "uid": ""}])),
                "unknown": st.integers(0, 1),
            },
        ),
        "spec": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "online": st.sampled_from([True, False, 1, None]),
                "requirements": st.sampled_from([{"cpuCount": True}, {}, {"x": 1}]),
            },
        ),
        "status": st.none(),
        "unknown": st.integers(0, 1),
    },
)


@given(OBJECTS, OBJECTS)
def test_sharing_changes_no_json(old: dict[str, Any], new: dict[str, Any]) -> None:
    shared = sharing(old, new)
    assert orjson.dumps(shared, option=orjson.OPT_SORT_KEYS) == orjson.dumps(new, option=orjson.OPT_SORT_KEYS)
    for field in old.keys() & new.keys() - {"metadata"}:
        same = orjson.dumps(old[field]) == orjson.dumps(new[field])
        assert (shared[field] is old[field]) or not same
    assert sharing(new, orjson.loads(orjson.dumps(new))).keys() == new.keys()


@given(OBJECTS)
def test_a_copy_shares_all_but_metadata(old: dict[str, Any]) -> None:
    copy = orjson.loads(orjson.dumps(old))
    assert changed(old, sharing(old, copy)).keys() <= {"metadata"}


def outcome(old: dict[str, Any], new: dict[str, Any], *, shared: bool) -> Any:
    """Return the result of an update: the object, or the error."""
    try:
        meta = metadata.for_update(WORKLOADS, old["metadata"], new["metadata"])
        if shared:
            return normalize(WORKLOADS, {**sharing(old, new), "metadata": meta}, "w", old)
        return normalize(WORKLOADS, {**new, "metadata": orjson.loads(orjson.dumps(meta))}, "w")
    except ApiError as error:
        return error.status()


@given(PATCHES)
def test_an_update_comes_to_the_same_with_shared_parts(patch: dict[str, Any]) -> None:
    new = merge_patch(STORED, patch)
    assert outcome(STORED, new, shared=True) == outcome(STORED, new, shared=False)
    assert outcome(STORED, orjson.loads(orjson.dumps(new)), shared=True) == outcome(STORED, new, shared=False)


@pytest.mark.parametrize("field", ["labels", "annotations", "finalizers", "ownerReferences"])
def test_what_metadata_keeps_is_the_very_same(field: str) -> None:
    given = {**STORED["metadata"], field: orjson.loads(orjson.dumps(STORED["metadata"][field]))}
    assert metadata.for_update(WORKLOADS, STORED["metadata"], given)[field] is STORED["metadata"][field]
