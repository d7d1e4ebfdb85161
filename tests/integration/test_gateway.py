"""Run everything in one cluster: real hosts, the operator that drives them, and tenants that see
only their views, through the gateway."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.integration import running
from tests.integration.running import ADMIN, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS = 4
CONSUMER = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "Metal3Machine", "namespace": "a", "name": "m-0"}
HOSTNAME = json.dumps({"spec": {"hardware": {"hostname": "of-the-object"}}})
IMAGE = {"url": "https://images.example.com/os.qcow2", "checksum": "https://images.example.com/os.sha256", "checksumType": "sha256"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Yield the cluster. Its tenants' kubeconfigs are those of the gateway."""
    folder = tmp_path_factory.mktemp("one") / "cluster"
    try:
        yield running.start(folder, "--one-cluster", "--hosts", str(HOSTS)).through_gateway()
    finally:
        running.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def token(cluster: Running, tenant: str) -> str:
    """Return a tenant's token."""
    with open(cluster.kubeconfig(tenant)) as file:
        found: str = json.load(file)["users"][0]["user"]["token"]
    return found


def request(cluster: Running, path: str, headers: dict[str, str] | None = None, method: str = "GET", body: Any = None) -> running.Answer:
    """Send a request to the gateway, by default as tenant a."""
    given = {"Authorization": f"Bearer {token(cluster, 'a')}"} if headers is None else headers
    return cluster.direct(path, headers=given, at=cluster.description["apiserver"]["gateway"], method=method, body=body)


def test_a_tenant_sees_its_views_and_no_real_host(cluster: Running) -> None:
    views = cluster.items("a", "bmh")
    assert {view["apiVersion"] for view in views} == {"metal3.io/v1alpha1"}
    assert len(views) == HOSTS
    real = {host["metadata"]["uid"] for host in cluster.items(ADMIN, "baremetalhosts.metal3.io", "-n", "metal3")}
    assert len(real) == HOSTS
    assert real.isdisjoint(view["metadata"]["uid"] for view in views)
    for arguments in (["bmh", "-A"], ["bmh", "-n", "metal3"], ["bmh", "host-0", "-n", "metal3"], ["secrets", "-n", "metal3"]):
        assert "Forbidden" in cluster.try_kubectl("a", "get", *arguments).stderr
    for path in (
        "/apis/metal3.io/v1alpha1/watch/baremetalhosts",
        "/apis/metal3.io/v1alpha1/watch/namespaces/metal3/baremetalhosts",
        "/apis/metal3.io/v1alpha1/baremetalhosts?includeUninitialized=true",
        "/apis/Metal3.io/v1alpha1/baremetalhosts",
        "/apis/metal3.io/v1alpha1/namespaces/metal3/%62aremetalhosts",
        "/api/v1/namespaces/a/../../../../apis/metal3.io/v1alpha1/namespaces/metal3/baremetalhosts",
    ):
        assert request(cluster, path).code in (400, 403, 404), path
    assert "metal3" not in cluster.try_kubectl("a", "get", "all").stdout


def test_hardware_data_is_the_views_and_comes_from_the_operators_objects(cluster: Running) -> None:
    """Change the owner's object alone, as an operator does that has no status.hardware any more."""
    real = cluster.get(ADMIN, "hardwaredata.metal3.io", "host-1", "-n", "metal3")
    assert "lldp" in real["spec"]["hardware"]["nics"][0]
    cluster.kubectl(ADMIN, "patch", "hardwaredata.metal3.io", "host-1", "-n", "metal3", "--type=merge", "-p", HOSTNAME)
    eventually(lambda: cluster.get("a", "hd", "host-1")["spec"]["hardware"]["hostname"] == "of-the-object")
    shown = cluster.get("a", "hd", "host-1")
    assert "lldp" not in shown["spec"]["hardware"]["nics"][0]
    assert shown["metadata"]["uid"] != real["metadata"]["uid"]
    assert cluster.get("a", "bmh", "host-1")["status"]["hardware"] == shown["spec"]["hardware"]
    assert len(cluster.items("a", "hd")) == HOSTS
    assert "Forbidden" in cluster.try_kubectl("a", "get", "hd", "host-1", "-n", "metal3").stderr


def test_an_administrator_sees_no_real_host_through_the_gateway_either(cluster: Running) -> None:
    """Check that the group is the view for all, whatever rights they have on real hosts."""
    admin = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "admin", "namespace": "metal3"}}
    cluster.kubectl(ADMIN, "apply", "-f", "-", stdin=admin)
    cluster.kubectl(ADMIN, "create", "clusterrolebinding", "one-admin", "--clusterrole=cluster-admin", "--serviceaccount=metal3:admin")
    headers = {"Authorization": f"Bearer {cluster.kubectl(ADMIN, 'create', 'token', 'admin', '-n', 'metal3').strip()}"}
    answer = request(cluster, "/apis/metal3.io/v1alpha1/baremetalhosts", headers)
    namespaces = {one["metadata"]["namespace"] for one in answer.json()["items"]}
    assert (answer.code, namespaces) == (200, {"a", "b"})
    assert request(cluster, "/apis/metal3.io/v1alpha1/namespaces/metal3/baremetalhosts/host-0", headers).code == 404
    deleted = request(cluster, "/apis/metal3.io/v1alpha1/namespaces/metal3/baremetalhosts", headers, "DELETE")
    assert deleted.json().get("items", []) == []
    assert len(cluster.items(ADMIN, "baremetalhosts.metal3.io", "-n", "metal3")) == HOSTS
    # With impersonation, the administrator sees what the tenant sees.
    headers["Impersonate-User"] = "tenant-a"
    assert request(cluster, "/apis/metal3.io/v1alpha1/namespaces/a/baremetalhosts", headers).code == 200
    assert request(cluster, "/apis/metal3.io/v1alpha1/namespaces/b/baremetalhosts", headers).code == 403
    assert request(cluster, "/api/v1/namespaces/a/secrets", headers).code == 200
    assert request(cluster, "/api/v1/namespaces/b/secrets", headers).code == 403


def test_no_request_uses_the_rights_of_the_server(cluster: Running) -> None:
    own = {"Authorization": f"Bearer {token(cluster, 'a')}"}
    serving = {"X-Remote-User": "system:admin", "X-Remote-Group": "system:masters"}
    assert request(cluster, "/api/v1/namespaces", serving).code == 401
    assert request(cluster, "/api/v1/namespaces", {}).code == 401
    assert request(cluster, "/api/v1/namespaces", {"Authorization": "Bearer wrong"}).code == 401
    # The server itself may list namespaces, and the tenant may not.
    assert request(cluster, "/api/v1/namespaces", {**own, **serving}).code == 403
    for headers in ({"Impersonate-User": "tenant-b"}, {"Impersonate-User": "system:admin", "Impersonate-Group": "system:masters"}):
        for path in ("/api/v1/namespaces/b/secrets", "/apis/metal3.io/v1alpha1/namespaces/b/baremetalhosts"):
            assert request(cluster, path, {**own, **headers}).code == 403
    assert "kubectl create token" in request(cluster, "/version", {}).json()["message"]


def test_discovery_and_openapi_show_the_view(cluster: Running) -> None:
    listed = cluster.kubectl("a", "api-resources", "--verbs=list", "-o", "name").split()
    assert "baremetalhosts.metal3.io" in listed
    assert "baremetalhosts.workload.metal3.io" not in listed
    assert "workloads.workload.metal3.io" in listed
    assert "deployments.apps" in listed
    explained = cluster.kubectl("a", "explain", "bmh.spec.consumerRef")
    assert "GROUP:      metal3.io" in explained
    # BMO's kind can be created, and the view cannot.
    path = "/openapi/v3/apis/metal3.io/v1alpha1"
    through, real = (json.loads(cluster.kubectl(who, "get", "--raw", path))["paths"] for who in ("a", ADMIN))
    hosts = "/apis/metal3.io/v1alpha1/namespaces/{namespace}/baremetalhosts"
    assert real[hosts].keys() - through[hosts].keys() == {"post"}
    assert cluster.kubectl("a", "explain", "deployments.spec.replicas") == cluster.kubectl(ADMIN, "explain", "deployments.spec.replicas")


def test_a_claim_installs_the_real_host(cluster: Running) -> None:
    change = {"spec": {"consumerRef": CONSUMER, "image": IMAGE, "online": True}}
    argv = [str(cluster.tools / "kubectl"), "--kubeconfig", cluster.kubeconfig("a"), "get", "bmh", "host-0", "--watch", "-o", "name"]
    with subprocess.Popen([*argv, "--request-timeout=120s"], stdout=subprocess.PIPE, text=True) as watch:
        try:
            assert watch.stdout is not None
            assert watch.stdout.readline().strip() == "baremetalhost.metal3.io/host-0"
            cluster.kubectl("a", "patch", "bmh", "host-0", "--type=merge", "-p", json.dumps(change))
            assert watch.stdout.readline().strip() == "baremetalhost.metal3.io/host-0"
        finally:
            watch.terminate()
    cluster.kubectl("a", "wait", "bmh/host-0", "--for=jsonpath={.status.provisioning.state}=provisioned", "--timeout=90s")
    real = cluster.get(ADMIN, "baremetalhosts.metal3.io", "host-0", "-n", "metal3")
    assert real["spec"]["image"]["url"] == IMAGE["url"]
    eventually(lambda: "host-0" not in {view["metadata"]["name"] for view in cluster.items("b", "bmh")})
    cluster.kubectl("a", "delete", "bmh", "host-0", "--timeout=90s")
    eventually(lambda: len(cluster.items("b", "bmh")) == HOSTS, seconds=90)


def test_everything_else_is_kube_apiservers(cluster: Running) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"value": "x" * 500_000}}
    cluster.kubectl("a", "apply", "--server-side", "-f", "-", stdin=secret)
    assert len(base64.b64decode(cluster.get("a", "secret", "s")["data"]["value"])) == 500_000
    assert cluster.get(ADMIN, "secret", "s", "-n", "a")["data"] == cluster.get("a", "secret", "s")["data"]
    cluster.kubectl("a", "delete", "secret", "s")
    assert cluster.kubectl("a", "get", "workloads", "-o", "name") == ""
    # Bytes of protobuf pass as they are.
    headers = {"Authorization": f"Bearer {token(cluster, 'a')}", "Accept": "application/vnd.kubernetes.protobuf"}
    assert request(cluster, "/api/v1/namespaces/a/secrets", headers).body.startswith(b"k8s\x00")


def test_an_upgrade_reaches_kube_apiserver_with_the_callers_rights(cluster: Running) -> None:
    """Watch by WebSocket, which kube-apiserver serves without a kubelet."""
    url = urlsplit(cluster.description["apiserver"]["gateway"])
    context = ssl.create_default_context(cafile=cluster.description["apiserver"]["ca"])

    def opened(tenant: str) -> tuple[bytes, socket.socket]:
        protocol = base64.urlsafe_b64encode(token(cluster, tenant).encode()).decode().rstrip("=")
        head = (
            "GET /api/v1/namespaces/a/secrets?watch=true HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(b'0' * 16).decode()}\r\nSec-WebSocket-Version: 13\r\nOrigin: https://x\r\n"
            f"Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.{protocol}, base64.binary.k8s.io\r\n\r\n"
        )
        raw = socket.create_connection((url.hostname or "", url.port or 0), timeout=30)
        wire = context.wrap_socket(raw, server_hostname=url.hostname)
        wire.sendall(head.encode())
        return wire.recv(12), wire

    status, wire = opened("a")
    with wire:
        assert status == b"HTTP/1.1 101"
        cluster.kubectl("a", "create", "secret", "generic", "seen")
        received = b""
        while b"seen" not in received and base64.b64encode(b"seen")[:5] not in received:
            piece = wire.recv(65536)
            assert piece
            received += piece
    cluster.kubectl("a", "delete", "secret", "seen")
    status, wire = opened("b")
    wire.close()
    assert status == b"HTTP/1.1 403"
