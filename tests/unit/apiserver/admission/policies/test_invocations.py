"""Check which policies, bindings and parameters concern a write."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.admission.policies.invocations import hooks_of, invocations, namespace_of
from apiserver.apis.status import ApiError
from tests.unit.apiserver.admission.policies.given import MAPS, Cluster, binding, enforcing, policy
from tests.unit.apiserver.admission.writes import CLUSTER_THINGS, write


async def selected(*objects: dict[str, Any], cluster: Cluster | None = None) -> list[tuple[str, str, Any, str]]:
    """Return policy, binding, parameters and error of each invocation."""
    cluster = cluster or Cluster()
    plugin = enforcing(*objects, cluster=cluster)
    found = invocations(plugin.policies.hooks, write(), {"metadata": {"name": "n"}}, cluster)
    return [(one.policy.name, one.binding.name if one.binding else "", one.params, one.why) async for one in found]


async def test_policies_and_bindings_come_by_name() -> None:
    objects = [
        policy("true", name="z"),
        policy("true", name="a"),
        binding(of="z", name="1"),
        binding(of="a", name="3"),
        binding(of="a", name="2"),
    ]
    assert await selected(*objects) == [("a", "2", None, ""), ("a", "3", None, ""), ("z", "1", None, "")]


async def test_each_parameter_is_an_invocation() -> None:
    cluster = Cluster()
    cluster.objects["n"] = [{"metadata": {"name": one}} for one in "ab"]
    reference: dict[str, Any] = {"paramRef": {"selector": {}}}
    found = await selected(policy("true", **MAPS), binding(**reference), cluster=cluster)
    assert [params["metadata"]["name"] for _, _, params, _ in found] == ["a", "b"]


async def test_what_cannot_be_applied_has_a_reason() -> None:
    broken = policy("true", name="a", matchConstraints={"resourceRules": [3]})
    cluster = Cluster()
    cluster.error = "not synced"
    reference: dict[str, Any] = {"paramRef": {"name": "c"}}
    found = await selected(
        broken, binding(of="a", name="x"), policy("true", name="b", **MAPS), binding(of="b", **reference), cluster=cluster
    )
    assert [(one[0], one[1], one[3]) for one in found] == [
        ("a", "", "failed to configure policy: it cannot be read by this server"),
        ("b", "b", "failed to configure binding: not synced"),
    ]


async def test_namespaces() -> None:
    assert await namespace_of(write(resource=CLUSTER_THINGS), Cluster()) is None
    found = await namespace_of(write(), Cluster())
    assert found is not None
    assert found["metadata"]["name"] == "n"
    with pytest.raises(ApiError, match="not found"):
        await namespace_of(write()._replace(namespace="missing"), Cluster())


def test_unknown_policies_let_nothing_pass() -> None:
    plugin = enforcing(policy("true"), binding())
    assert len(hooks_of(plugin.policies)) == 1
    plugin.policies.known = False
    with pytest.raises(ApiError) as caught:
        hooks_of(plugin.policies)
    assert caught.value.code == 503
