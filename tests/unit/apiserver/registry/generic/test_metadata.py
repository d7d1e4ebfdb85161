"""Check that metadata which passes the fast check is valid to the model as well, and keeps its
form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apiserver.apis.meta import ObjectMeta
from apiserver.apis.status import ApiError
from apiserver.registry.generic.metadata import LIMITS, for_create, for_update, well_formed, without_empty
from apiserver.registry.generic.validation import normalize
from apiserver.registry.workload import WORKLOADS

SCALARS = st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3)
VALUES = SCALARS | st.dictionaries(st.text(max_size=2), SCALARS, max_size=3) | st.lists(SCALARS, max_size=3)
FIELDS = ("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "labels", "annotations", "finalizers", "other")
METADATA = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3)
TEXTS = st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2)


@given(METADATA)
def test_what_the_model_refuses_is_not_well_formed(metadata: dict[str, Any]) -> None:
    try:
        ObjectMeta.decode(metadata)
    except ValidationError:
        with pytest.raises(ApiError, match="cannot be handled as a Workload: metadata"):
            well_formed(WORKLOADS, metadata)
    else:
        well_formed(WORKLOADS, metadata)


@given(TEXTS, TEXTS, st.lists(st.text(max_size=2), max_size=2))
def test_an_update_of_texts_is_normal_as_it_is(labels: Any, annotations: Any, finalizers: Any) -> None:
    metadata = {"name": "a", "namespace": "n", "uid": "u", "generation": 1}
    old = {"metadata": metadata, "spec": {"online": True, "reclaimPolicy": "Delete", "updatePolicy": "OnDelete"}}
    new = {**old, "metadata": {**metadata, "labels": labels, "annotations": annotations, "finalizers": finalizers}}
    assert normalize(WORKLOADS, new, "a", old) == normalize(WORKLOADS, new, "a")


class Owner(dict[str, Any]):
    """Count how often an owner reference is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Owner.compared += 1
        return super().__eq__(other)

    __hash__ = None


def test_owners_are_not_compared_with_each_other() -> None:
    owners = [Owner(apiVersion="v1", kind="Pod", name="p", uid=str(number)) for number in range(500)]
    Owner.compared = 0
    assert len(without_empty({"ownerReferences": owners})["ownerReferences"]) == 500
    assert Owner.compared == 0


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(0, 1) | st.text("a", max_size=1), max_size=2), max_size=5))
def test_the_first_of_equal_owners_stays(owners: list[dict[str, Any]]) -> None:
    expected = [owner for index, owner in enumerate(owners) if owner not in owners[:index]]
    assert without_empty({"ownerReferences": owners}).get("ownerReferences", []) == expected


def many(field: str, count: int) -> Any:
    if field in ("labels", "annotations"):
        return {f"k{number}": "v" for number in range(count)}
    if field == "finalizers":
        return [f"example.com/f{number}" for number in range(count)]
    return [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": str(number)} for number in range(count)]


@pytest.mark.parametrize("field", LIMITS)
def test_there_is_a_limit_to_how_many(field: str) -> None:
    limit = LIMITS[field]
    for_create(WORKLOADS, {"metadata": {"name": "a", field: many(field, limit)}}, "n", "2026-01-01T00:00:00Z")
    with pytest.raises(ApiError) as caught:
        for_create(WORKLOADS, {"metadata": {"name": "a", field: many(field, limit + 1)}}, "n", "2026-01-01T00:00:00Z")
    assert [found["field"] for found in caught.value.details["causes"]] == [f"metadata.{field}"]


@pytest.mark.parametrize("field", LIMITS)
def test_what_was_stored_beyond_the_limit_may_become_less(field: str) -> None:
    stored = {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", field: many(field, LIMITS[field] + 50)}
    assert len(for_update(WORKLOADS, stored, {**stored, field: many(field, LIMITS[field] + 49)})[field]) == LIMITS[field] + 49
    with pytest.raises(ApiError, match="Too many"):
        for_update(WORKLOADS, stored, {**stored, field: many(field, LIMITS[field] + 51)})
