"""Cover paths of objects, and manifests that are adapted to processes beside the cluster."""

from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.names import DEFAULT_CLASS_ANNOTATION
from apiserver.apis.workloadclass import WorkloadClass
from controllers.secrets import READER_ROLE
from hack.realcluster import hosts, manifests
from hack.realcluster.settings import Settings

BASE = [
    obj for name in ("apiserver", "apiservices", "tenant-roles") for obj in manifests.load(manifests.ROOT / f"manifests/base/{name}.yaml")
]
TENANT = [obj for name in ("namespace", "rbac") for obj in manifests.load(manifests.ROOT / f"manifests/tenant/{name}.yaml")]


def test_paths() -> None:
    assert manifests.path_of({"kind": "Namespace", "metadata": {"name": "n"}}) == "/api/v1/namespaces/n"
    role = {"kind": "Role", "metadata": {"name": "r", "namespace": "n"}}
    assert manifests.path_of(role) == "/apis/rbac.authorization.k8s.io/v1/namespaces/n/roles/r"


def test_every_kind_of_the_manifests_has_the_path_of_its_own_version() -> None:
    for obj in BASE + TENANT:
        if obj["kind"] not in manifests.ONLY_IN_CLUSTER:
            prefix = "api" if obj["apiVersion"] == "v1" else "apis"
            assert manifests.path_of(obj).startswith(f"/{prefix}/{obj['apiVersion']}/")


def test_beside_the_cluster_nothing_needs_pods_and_the_certificate_is_verified() -> None:
    bent = manifests.out_of_cluster(BASE, port=4711, ca=b"PEM")
    assert not {obj["kind"] for obj in bent} & set(manifests.ONLY_IN_CLUSTER)
    services = [obj for obj in bent if obj["kind"] == "APIService"]
    assert len(services) == 2
    for service in services:
        assert service["spec"]["service"]["port"] == 4711
        assert base64.b64decode(service["spec"]["caBundle"]) == b"PEM"
        assert "insecureSkipTLSVerify" not in service["spec"]


@given(st.from_regex(r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True))
def test_a_tenant_gets_nothing_outside_its_namespace_but_the_classes(tenant: str) -> None:
    template = json.dumps(TENANT)
    for obj in manifests.for_tenant(TENANT, tenant):
        assert obj["metadata"].get("namespace", tenant) == tenant
        if obj["kind"] == "ClusterRoleBinding":
            assert obj["roleRef"]["name"] == "metal3-workloads-classes-viewer"
        controllers = obj.get("roleRef", {}).get("name") == READER_ROLE
        # The tenant's account is for the gateway, which takes tokens only.
        own = {("User", f"tenant-{tenant}", None), ("ServiceAccount", "tenant", tenant)}
        expected = {("ServiceAccount", "metal3-workloads-controllers", "metal3-workloads-system")} if controllers else own
        assert {(subject["kind"], subject["name"], subject.get("namespace")) for subject in obj.get("subjects", [])} <= expected
    assert json.dumps(TENANT) == template


def test_the_class_is_valid_and_the_default() -> None:
    written = manifests.metal_class(("a", "b"))
    read = WorkloadClass.decode(written)
    assert read.spec.credentials_secret_ref is not None
    assert read.spec.credentials_secret_ref.name == "metal-credentials"
    assert written["metadata"]["annotations"] == {DEFAULT_CLASS_ANNOTATION: "true"}


def test_the_class_shows_all_labels_but_the_owners() -> None:
    shown = re.compile(manifests.metal_class(())["spec"]["metadata"]["labelsMatch"])
    labels = hosts.host(2)["metadata"]["labels"]
    assert {key for key in labels if not shown.fullmatch(key)} == {"owner.example.com/cost-centre"}


@pytest.mark.parametrize("tenant", ["A", "-a", "a_b", "a" * 64])
def test_a_tenant_that_cannot_be_a_namespace_is_refused(tenant: str) -> None:
    with pytest.raises(ValueError, match="cannot be a namespace"):
        Settings(tenants=(tenant,))


def test_no_role_grants_everything() -> None:
    roles = [
        obj for file in (manifests.ROOT / "manifests").rglob("*.yaml") for obj in manifests.load(file) if "Role" in obj.get("kind", "")
    ]
    rules = [(role["kind"], rule) for role in roles for rule in role.get("rules", [])]
    assert len(rules) > 10
    for kind, rule in rules:
        assert "*" not in [*rule.get("apiGroups", ()), *rule["verbs"]]
        # A Role in one namespace may name all kinds of Cluster API, because its providers add their
        # own. No role may name all kinds of another group.
        groups = rule.get("apiGroups", ())
        theirs = kind == "Role" and all(group.endswith("cluster.x-k8s.io") or group == "ipam.metal3.io" for group in groups)
        assert theirs or "*" not in rule.get("resources", ())
        assert not any("*" in path for path in rule.get("nonResourceURLs", ()))


def test_tenants_reach_no_hosts_and_no_subresource_but_to_read() -> None:
    for obj in BASE + TENANT:
        for rule in obj.get("rules", []):
            assert not {"hosts", "usagerecords"} & set(rule["resources"])
            if "reservations" in rule["resources"]:
                assert set(rule["verbs"]) == {"get", "list", "watch"}
            if any("/" in resource for resource in rule["resources"]):
                scales = rule["resources"] == ["workloadsets/scale"]
                assert set(rule["verbs"]) <= ({"get", "update", "patch"} if scales else {"get", "list", "watch"})


def test_the_target_relays_one_tenants_hosts() -> None:
    read = WorkloadClass.decode(manifests.relay_class("a"))
    assert read.spec.allowed_namespaces is not None
    assert (read.spec.provisioner, read.spec.parameters["namespace"]) == ("metal3.io/relay", "a")
    assert read.spec.allowed_namespaces.names == ["a"]
