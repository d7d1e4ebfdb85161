"""What is right at first sight is right to the model as well, and keeps its form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from apiserver.apis.meta import ObjectMeta
from apiserver.apis.status import ApiError
from apiserver.registry.metadata import well_formed, without_empty
from apiserver.registry.validation import normalize
from apiserver.registry.workloads import WORKLOADS
from tests.unit.cost import cost

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


def test_owners_cost_no_more_than_they_are_many() -> None:
    def spent(count: int) -> float:
        owners = [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": str(number)} for number in range(count)]
        return cost(lambda: without_empty({"ownerReferences": owners}))

    assert spent(16_000) < 32 * 6 * spent(500)


@given(st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(0, 1) | st.text("a", max_size=1), max_size=2), max_size=5))
def test_the_first_of_equal_owners_stays(owners: list[dict[str, Any]]) -> None:
    expected = [owner for index, owner in enumerate(owners) if owner not in owners[:index]]
    assert without_empty({"ownerReferences": owners}).get("ownerReferences", []) == expected
