"""Check which objects are a binding's parameters."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.policies.definitions import binding_of, policy_of
from apiserver.admission.policies.params import NoParams, params_of
from tests.unit.apiserver.admission.policies.given import MAPS, Cluster, binding, policy


async def names(reference: dict[str, Any] | None, *, namespaced: bool = True, namespace: str = "n", kind: bool = True) -> list[str | None]:
    """Return the names of the parameters, None for none."""
    cluster = Cluster()
    cluster.namespaced = namespaced
    cluster.objects = {
        where: [{"metadata": {"name": f"{where}-{label}", "labels": {"l": label}}} for label in ("a", "b")] for where in ("", "n", "m")
    }
    found = await params_of(
        policy_of(policy("true", **(MAPS if kind else {}))), binding_of(binding(paramRef=reference)), namespace, cluster
    )
    assert all(one is None or (one["apiVersion"], one["kind"]) == ("v1", "ConfigMap") for one in found)
    return [None if one is None else str(one["metadata"]["name"]) for one in found]


async def test_by_name_and_by_labels() -> None:
    assert await names({"name": "n-a"}) == ["n-a"]
    assert await names({"name": "m-a", "namespace": "m"}) == ["m-a"]
    assert await names({"selector": {"matchLabels": {"l": "b"}}}) == ["n-b"]
    assert await names({"selector": {}}) == ["n-a", "n-b"]
    assert await names({"name": "-a"}, namespaced=False) == ["-a"]


async def test_none_are_meant() -> None:
    assert await names(None) == [None]
    assert await names({"name": "n-a"}, kind=False) == [None]
    assert await names({"name": "nope", "parameterNotFoundAction": "Allow"}) == []


@pytest.mark.parametrize(
    ("reference", "namespaced", "namespace", "said"),
    [
        ({"name": "nope", "parameterNotFoundAction": "Deny"}, True, "n", "no params found"),
        ({"name": "n-a"}, True, "", "cluster-scoped resources"),
        ({"name": "-a", "namespace": "n"}, False, "n", "must not be provided"),
        ({}, True, "n", "one of name or selector"),
    ],
)
async def test_errors(reference: dict[str, Any], namespaced: bool, namespace: str, said: str) -> None:
    with pytest.raises(NoParams, match=said):
        await names(reference, namespaced=namespaced, namespace=namespace)
