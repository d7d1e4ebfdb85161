"""Check that RBAC of the management cluster decides what each user may do, and that no header gives
a client another identity."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.integration.objects import secret, workload
from tests.integration.running import ADMIN, eventually

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
    """Query RBAC alone, because these clusters do not have such kinds."""
    for verb, answer in (("get", True), ("list", False), ("patch", False), ("delete", False)):
        assert controllers_may(cluster, group=group, resource=resource, verb=verb, namespace="a") is answer, verb


def controllers_may(cluster: Running, **attributes: str) -> bool:
    """Return whether RBAC allows this to the controllers' service account."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": "system:serviceaccount:metal3-workloads-system:metal3-workloads-controllers",
            "resourceAttributes": attributes,
        },
    }
    return cluster.kubectl(ADMIN, "create", "-f", "-", "-o", "jsonpath={.status.allowed}", stdin=review) == "true"


@pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "update", "patch", "delete"])
def test_the_controllers_read_secrets_by_name_where_a_role_is_bound_and_nowhere_else(cluster: Running, verb: str) -> None:
    for namespace, bound in (("a", True), ("metal3-workloads-system", True), ("kube-system", False), ("default", False), ("", False)):
        allowed = controllers_may(cluster, resource="secrets", verb=verb, namespace=namespace, name="any")
        assert allowed is (bound and verb in ("get", "watch")), namespace


def asked_about_secrets(cluster: Running) -> set[tuple[str, str, str]]:
    """Return verb, namespace and name of each request about secrets that kube-apiserver got from
    the controllers so far. "*" stands for any."""
    log = (cluster.root / "logs" / "secrets-audit.jsonl").read_text()
    events = [json.loads(line) for line in log.splitlines()]
    selected = [parse_qs(urlsplit(event["requestURI"]).query).get("fieldSelector", [""])[0] for event in events]
    objects = [event["objectRef"] for event in events]
    return {
        (event["verb"], about.get("namespace", "*"), about.get("name") or selector.removeprefix("metadata.name=") or "*")
        for event, about, selector in zip(events, objects, selected, strict=True)
    }


def test_the_controllers_ask_for_no_secret_but_those_that_are_named(tenants: Running) -> None:
    for who in ("a", "b"):
        tenants.kubectl(who, "create", "-f", "-", stdin=[secret("named-boot", userData="#cloud-config"), secret("other", userData="x")])
    try:
        tenants.kubectl("a", "create", "-f", "-", stdin=workload("asks", userData={"name": "named-boot"}))
        tenants.kubectl("a", "wait", "workload/asks", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
        wanted = {(verb, "a", "named-boot") for verb in ("get", "watch")}
        asked = eventually(lambda: asked_about_secrets(tenants) if wanted <= asked_about_secrets(tenants) else set())
    finally:
        for who in ("a", "b"):
            tenants.kubectl(who, "delete", "secrets", "named-boot", "other")
    assert {verb for verb, _, _ in asked} == {"get", "watch"}
    assert not {(namespace, name) for _, namespace, name in asked if "*" in (namespace, name) or name == "other"}
    assert ("b", "named-boot") not in {(namespace, name) for _, namespace, name in asked}


NARROW = "without-a-role"


def allow(cluster: Running, namespaces: list[str]) -> None:
    """Let the class admit exactly these namespaces."""
    patch = {"spec": {"allowedNamespaces": {"names": namespaces}}}
    cluster.kubectl(ADMIN, "patch", "workloadclass", "metal", "--type=merge", "-p", json.dumps(patch))


def test_a_namespace_without_the_role_is_reported_and_continues_once_it_has_it(tenants: Running) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NARROW}}
    tenants.kubectl(ADMIN, "create", "-f", "-", stdin=namespace)
    try:
        allow(tenants, ["a", "b", NARROW])
        made = [secret("boot", userData="#cloud-config"), workload("web", userData={"name": "boot"})]
        tenants.kubectl(ADMIN, "create", "-n", NARROW, "-f", "-", stdin=made)
        reason = 'jsonpath={.status.conditions[?(@.type=="Synchronized")].reason}=SecretForbidden'
        tenants.kubectl(ADMIN, "wait", "workload/web", "-n", NARROW, f"--for={reason}", "--timeout=60s")
        conditions = tenants.get(ADMIN, "workload", "web", "-n", NARROW)["status"]["conditions"]
        assert any("metal3-workloads-secrets" in condition["message"] for condition in conditions)
        account = "--serviceaccount=metal3-workloads-system:metal3-workloads-controllers"
        tenants.kubectl(ADMIN, "create", "rolebinding", "secrets", "-n", NARROW, "--clusterrole=metal3-workloads-secrets", account)
        tenants.kubectl(ADMIN, "wait", "workload/web", "-n", NARROW, "--for=jsonpath={.status.phase}=Running", "--timeout=90s")
    finally:
        tenants.kubectl(ADMIN, "delete", "workloads", "--all", "-n", NARROW, "--timeout=60s")
        allow(tenants, ["a", "b"])
        tenants.kubectl(ADMIN, "delete", "namespace", NARROW)


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


def test_a_client_certificate_authenticates_without_kube_apiserver_too(cluster: Running) -> None:
    assert cluster.direct(WORKLOADS.format("a"), identity=cluster.tenant_identity("a")).code == 200
    assert cluster.direct(WORKLOADS.format("b"), identity=cluster.admin_identity()).code == 200


def test_another_namespaces_quota_and_names_stay_unknown(tenants: Running) -> None:
    tenants.kubectl("b", "apply", "-f", "-", stdin=workload("secret-project", image=None))
    done = tenants.try_kubectl("a", "get", "workload", "secret-project", "-n", "b")
    there = done.stderr.replace("secret-project", "X")
    absent = tenants.try_kubectl("a", "get", "workload", "not-there", "-n", "b").stderr.replace("not-there", "X")
    assert there == absent


def test_a_name_does_not_lead_to_another_namespaces_secret(tenants: Running) -> None:
    """Check that a name in a Workload leads to no other namespace's secret, although the
    controllers read it with their own rights."""
    tenants.kubectl(ADMIN, "create", "-n", "kube-system", "-f", "-", stdin=secret("others", userData="#cloud-config"))
    try:
        made = workload("curious", userData={"name": "../../kube-system/secrets/others"})
        tenants.kubectl("a", "create", "-f", "-", stdin=made)
        reason = 'jsonpath={.status.conditions[?(@.type=="Synchronized")].reason}=SecretNotFound'
        tenants.kubectl("a", "wait", "workload/curious", f"--for={reason}", "--timeout=60s")
    finally:
        tenants.kubectl(ADMIN, "delete", "secret", "others", "-n", "kube-system")
