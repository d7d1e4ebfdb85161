"""Who may do what: RBAC of the management cluster decides, and no header makes somebody else of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.objects import secret, workload
from tests.integration.running import ADMIN

if TYPE_CHECKING:
    from tests.integration.running import Running

WORKLOADS = "/apis/workload.metal3.io/v1alpha1/namespaces/{}/workloads"
SPOOFED = {"X-Remote-User": "kubernetes-admin", "X-Remote-Group": "system:masters"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "workloads", "-n", "b"),
        ("get", "workloads", "-A"),
        ("get", "baremetalhosts.metal3.io", "-n", "b"),
        ("get", "baremetalhosts.metal3.io", "-A"),
        ("get", "hosts.workload.metal3.io"),
        ("get", "secrets", "-n", "metal3-workloads-system"),
        ("delete", "workloadclass", "metal"),
    ],
    ids=" ".join,
)
def test_a_tenant_is_refused(cluster: Running, arguments: tuple[str, ...]) -> None:
    done = cluster.try_kubectl("a", *arguments)
    assert done.returncode != 0
    assert "Forbidden" in done.stderr
    assert "tenant-a" in done.stderr


def test_a_tenant_makes_no_hosts(cluster: Running) -> None:
    host = {"apiVersion": "metal3.io/v1alpha1", "kind": "BareMetalHost", "metadata": {"name": "mine"}, "spec": {"online": True}}
    done = cluster.try_kubectl("a", "create", "-f", "-", stdin=host)
    assert done.returncode != 0
    assert "Forbidden" in done.stderr


def test_a_tenant_sees_the_classes(cluster: Running) -> None:
    assert [item["metadata"]["name"] for item in cluster.items("a", "workloadclasses")] == ["metal"]


def test_can_i_agrees(cluster: Running) -> None:
    assert cluster.kubectl("a", "auth", "can-i", "create", "workloads").strip() == "yes"
    assert cluster.try_kubectl("a", "auth", "can-i", "create", "workloads", "-n", "b").stdout.strip() == "no"


@pytest.mark.parametrize(("group", "resource"), [("infrastructure.cluster.x-k8s.io", "metal3machines"), ("cluster.x-k8s.io", "clusters")])
def test_the_controllers_may_look_for_consumers_and_no_more(cluster: Running, group: str, resource: str) -> None:
    """Asked of RBAC, for there are no such kinds here."""
    for verb, answer in (("get", "true"), ("list", "false"), ("patch", "false"), ("delete", "false")):
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "system:serviceaccount:metal3-workloads-system:metal3-workloads-controllers",
                "resourceAttributes": {"group": group, "resource": resource, "verb": verb, "namespace": "a"},
            },
        }
        assert cluster.kubectl(ADMIN, "create", "-f", "-", "-o", "jsonpath={.status.allowed}", stdin=review) == answer, verb


def test_the_front_proxys_headers_are_worth_nothing_from_others(cluster: Running) -> None:
    assert cluster.direct(WORKLOADS.format("a"), headers=SPOOFED).code == 401
    as_tenant = cluster.direct(WORKLOADS.format("b"), identity=cluster.tenant_identity("a"), headers=SPOOFED)
    assert as_tenant.code == 403
    assert as_tenant.json()["reason"] == "Forbidden"
    assert "tenant-a" in as_tenant.json()["message"]


def test_the_spoofed_headers_do_not_pass_through_kube_apiserver_either(cluster: Running) -> None:
    url = cluster.description["management"]["server"]
    answer = cluster.direct(WORKLOADS.format("b"), identity=cluster.tenant_identity("a"), headers=SPOOFED, through=url)
    assert answer.code == 403


def test_who_has_a_certificate_is_known_without_kube_apiserver_too(cluster: Running) -> None:
    assert cluster.direct(WORKLOADS.format("a"), identity=cluster.tenant_identity("a")).code == 200
    assert cluster.direct(WORKLOADS.format("b"), identity=cluster.admin_identity()).code == 200


def test_another_namespaces_quota_and_names_stay_unknown(tenants: Running) -> None:
    tenants.kubectl("b", "apply", "-f", "-", stdin=workload("secret-project", image=None))
    done = tenants.try_kubectl("a", "get", "workload", "secret-project", "-n", "b")
    there = done.stderr.replace("secret-project", "X")
    absent = tenants.try_kubectl("a", "get", "workload", "not-there", "-n", "b").stderr.replace("not-there", "X")
    assert there == absent


def test_a_name_does_not_lead_to_another_namespaces_secret(tenants: Running) -> None:
    """What a Workload names is read with the controllers' rights."""
    tenants.kubectl(ADMIN, "create", "-n", "kube-system", "-f", "-", stdin=secret("others", userData="#cloud-config"))
    try:
        made = workload("curious", userData={"name": "../../kube-system/secrets/others"})
        tenants.kubectl("a", "create", "-f", "-", stdin=made)
        reason = 'jsonpath={.status.conditions[?(@.type=="Synchronized")].reason}=SecretNotFound'
        tenants.kubectl("a", "wait", "workload/curious", f"--for={reason}", "--timeout=60s")
    finally:
        tenants.kubectl(ADMIN, "delete", "secret", "others", "-n", "kube-system")
