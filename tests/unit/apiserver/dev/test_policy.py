"""Check that dev mode's rules are those of manifests/, and keep tenants apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from apiserver.dev import policy
from apiserver.handlers.request.call import RequestInfo, parse
from apiserver.registry.generic.context import UserInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFESTS = Path(__file__).parents[4] / "manifests"
TENANT = UserInfo("tenant-a", groups=(f"{policy.TENANT_PREFIX}tenant-a", policy.EVERYBODY))
WORKLOADS = "/apis/workload.metal3.io/v1alpha1"
CONTROLLERS = ("metal3-workloads-controllers", "metal3-workloads-secrets", "metal3-workloads-controllers:backups")


def ask(verb: str, path: str) -> RequestInfo:
    methods = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
    return parse(methods.get(verb, "GET"), path, {"watch": "1"} if verb == "watch" else {})


async def allowed(user: UserInfo, verb: str, path: str, rules: policy.StaticPolicy | None = None) -> bool:
    return (await (rules or policy.management_policy()).authorize(user, ask(verb, path))).allowed


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("create", f"{WORKLOADS}/namespaces/tenant-a/workloads"),
        ("watch", f"{WORKLOADS}/namespaces/tenant-a/workloads"),
        ("list", f"{WORKLOADS}/workloadclasses"),
        ("patch", "/apis/metal3.io/v1alpha1/namespaces/tenant-a/baremetalhosts/h"),
        ("create", "/api/v1/namespaces/tenant-a/secrets"),
        ("get", "/api/v1/namespaces/tenant-a"),
        ("get", "/apis"),
        ("get", "/openapi/v3/apis/metal3.io/v1alpha1"),
        ("get", "/version"),
    ],
)
async def test_requests_that_tenants_may_make(verb: str, path: str) -> None:
    assert await allowed(TENANT, verb, path)


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("list", f"{WORKLOADS}/workloads"),
        ("get", f"{WORKLOADS}/namespaces/tenant-b/workloads/w"),
        ("create", f"{WORKLOADS}/namespaces/tenant-a/workloads/w/binding"),
        ("patch", f"{WORKLOADS}/namespaces/tenant-a/workloads/w/status"),
        ("list", f"{WORKLOADS}/hosts"),
        ("list", f"{WORKLOADS}/usagerecords"),
        ("get", f"{WORKLOADS}/usagerecords/h"),
        ("create", f"{WORKLOADS}/workloadclasses"),
        ("create", "/apis/metal3.io/v1alpha1/namespaces/tenant-a/baremetalhosts"),
        ("update", "/apis/metal3.io/v1alpha1/namespaces/tenant-a/baremetalhosts/h/status"),
        ("list", "/api/v1/secrets"),
        ("list", "/api/v1/namespaces"),
        ("get", "/api/v1/namespaces/tenant-b"),
        ("delete", "/api/v1/namespaces/tenant-a"),
        ("get", "/metrics"),
        ("get", "/apisX"),
    ],
)
async def test_requests_that_tenants_may_not_make(verb: str, path: str) -> None:
    assert not await allowed(TENANT, verb, path)


async def test_an_empty_tenant_group_grants_nothing() -> None:
    nobody = UserInfo("x", groups=(policy.TENANT_PREFIX, policy.EVERYBODY))
    assert not await allowed(nobody, "list", f"{WORKLOADS}/workloads")
    assert not await allowed(nobody, "list", "/api/v1/secrets")


async def test_tenants_have_nothing_on_the_hardware_endpoint() -> None:
    assert not await allowed(TENANT, "list", "/apis/metal3.io/v1alpha1/namespaces/metal3/baremetalhosts", policy.hardware_policy())
    assert not await allowed(TENANT, "get", "/api/v1/namespaces/tenant-a/secrets/s", policy.hardware_policy())


async def test_the_provider_stays_in_its_namespace() -> None:
    provider = UserInfo("p", groups=(policy.PROVIDER,))
    rules = policy.hardware_policy()
    assert await allowed(provider, "get", "/api/v1/namespaces/metal3/secrets/s", rules)
    assert not await allowed(provider, "watch", "/api/v1/namespaces/metal3/secrets", rules)
    assert not await allowed(provider, "list", "/api/v1/secrets", rules)
    assert not await allowed(provider, "get", "/api/v1/namespaces/other/secrets/s", rules)


def test_the_rules_are_those_of_the_manifests() -> None:
    tenant = _granted(_rules("base/tenant-roles.yaml", "metal3-workloads-tenant"), _rules("tenant/rbac.yaml", "metal3-workloads-tenant"))
    # In a cluster kubectl never has to read the namespace itself. In dev mode `kubectl get ns
    # tenant-a` is a convenience.
    assert _ours(policy.TENANT) == tenant | {("", "namespaces", "get")}
    assert _ours(policy.ANYBODY) == _granted(_rules("base/tenant-roles.yaml", "metal3-workloads-classes-viewer"))
    roles = [_rules("base/controllers-rbac.yaml", name) for name in CONTROLLERS]
    assert _ours(policy.MANAGEMENT_CONTROLLERS) == _granted(*roles)
    assert _ours(policy.HARDWARE_PROVIDER) == _granted(_rules("hardware/rbac.yaml", "metal3-workloads"))


def _rules(file: str, name: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all((MANIFESTS / file).read_text())
    return [
        rule for doc in documents if doc["kind"] in {"Role", "ClusterRole"} and doc["metadata"]["name"] == name for rule in doc["rules"]
    ]


def _granted(*rules: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Return group, resource and verb of each rule, in the groups that dev mode serves."""
    found = {(g, r, v) for some in rules for rule in some for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}
    elsewhere = {"events.k8s.io", "apiregistration.k8s.io", "cluster.x-k8s.io", "infrastructure.cluster.x-k8s.io"}
    return {(g, r, v) for g, r, v in found if g not in elsewhere and not (g == "workload.metal3.io" and r.startswith("baremetalhosts"))}


def _ours(rules: Iterable[policy.Rule]) -> set[tuple[str, str, str]]:
    return {(g, r, v) for rule in rules for g in rule.groups for r in rule.resources for v in rule.verbs}
