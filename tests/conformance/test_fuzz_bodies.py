"""Send bodies and queries made by Hypothesis, mostly objects with parts replaced: no failure is
ever the server's."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.fuzzing import expect_no_failure, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.client import ApiServer

COLLECTION = "/apis/workload.metal3.io/v1alpha1/namespaces/team/workloads"
PLACES = (
    COLLECTION,
    f"{COLLECTION}/one",
    f"{COLLECTION}/one/status",
    f"{COLLECTION}/one/binding",
    "/apis/workload.metal3.io/v1alpha1/hosts",
)
TYPES = (
    "application/json",
    "application/yaml",
    "application/merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
    "text/plain",
)
QUERIES = ("fieldManager", "fieldValidation", "dryRun", "labelSelector", "fieldSelector", "limit", "continue", "propagationPolicy", "force")
WORKLOAD: dict[str, Any] = {
    "apiVersion": "workload.metal3.io/v1alpha1",
    "kind": "Workload",
    "metadata": {
        "name": "one",
        "labels": {"a": "b"},
        "finalizers": ["example.com/x"],
        "ownerReferences": [{"kind": "ConfigMap", "uid": "1"}],
    },
    "spec": {
        "className": "metal",
        "image": {"url": "https://images.example/os", "checksum": "0" * 32},
        "requirements": {"ram": "64Gi", "resources": {"gpu": 1}},
        "hostSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]},
    },
    "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "True"}]},
}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "x" * 300, -1, 2**63, 2**70, 1e300, [], {}, [[]], {"": ""}, "\x00", "ü☃", "\ud7ff", "0", "managedFields"]
)
VALUES = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8
)
OPERATION = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
        "path": st.sampled_from(["", "/", "/spec", "/spec/image", "/a/0"]),
    },
    optional={"value": VALUES, "from": st.sampled_from(["", "/spec", "/metadata/name"])},
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in _paths(item, (*path, key)))]


def _holds(parent: Any, part: Any) -> bool:
    """Return whether the object still has such a part: another mutation may have replaced what is
    above it."""
    if isinstance(parent, dict):
        return part in parent
    return isinstance(parent, list) and isinstance(part, int) and part < len(parent)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """Return the Workload with one to three of its parts replaced."""
    found = copy.deepcopy(WORKLOAD)
    for path in draw(st.lists(st.sampled_from(_paths(WORKLOAD)[1:]), min_size=1, max_size=3)):
        parent: Any = found
        for part in path[:-1]:
            parent = parent[part] if _holds(parent, part) else None
        if _holds(parent, path[-1]):
            parent[path[-1]] = copy.deepcopy(draw(VALUES))
    return found


BODIES = mutated() | st.lists(OPERATION, max_size=4) | VALUES.filter(lambda value: not isinstance(value, str)) | st.binary(max_size=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with serving(tmp_path_factory.mktemp("fuzz")) as (found, _, _):
        found.send("POST", COLLECTION, WORKLOAD | {"metadata": {"name": "one"}}, {})
        yield found


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "GET"]),
    place=st.sampled_from(PLACES),
    media=st.sampled_from(TYPES),
    query=st.dictionaries(st.sampled_from(QUERIES), st.text("abc=,!()/ 0123ü", max_size=8), max_size=2),
    body=BODIES,
)
def test_no_body_makes_the_server_fail(server: ApiServer, method: str, place: str, media: str, query: dict[str, str], body: Any) -> None:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    expect_no_failure(server.send(method, f"{place}?{asked}", body, {"Content-Type": media}))
