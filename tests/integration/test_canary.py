"""Check that nothing of the owner's reaches a tenant. Every byte that tenants can read is searched
for the marks on the owner's hosts."""

from __future__ import annotations

import base64
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from hack.realcluster.hosts import CANARY
from tests.integration import running
from tests.integration.canary import sightings
from tests.integration.objects import secret, workload
from tests.integration.running import OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
YAML = "application/yaml"
GROUPS = ("workload.metal3.io", "metal3.io")
TENANTS = ("a", "b")


def lists(tenant: str) -> Iterator[str]:
    """Yield the paths of everything that the tenant may list, as lists and as watches that begin
    with the existing objects."""
    mine = f"namespaces/{tenant}"
    base = [
        f"/apis/workload.metal3.io/v1alpha1/{mine}/workloads",
        f"/apis/metal3.io/v1alpha1/{mine}/baremetalhosts",
        "/apis/workload.metal3.io/v1alpha1/workloadclasses",
        f"/api/v1/{mine}/events",
        f"/apis/events.k8s.io/v1/{mine}/events",
        f"/api/v1/{mine}/secrets",
        f"/api/v1/{mine}/configmaps",
    ]
    for path in base:
        yield path
        yield f"{path}?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


def documents() -> Iterator[str]:
    """Yield the paths of documents that describe the server itself."""
    yield from ("/apis", "/version", "/openapi/v2", "/openapi/v3")
    for group in GROUPS:
        yield from (f"/apis/{group}", f"/apis/{group}/v1alpha1", f"/openapi/v3/apis/{group}/v1alpha1")


def everything(cluster: Running, tenant: str) -> Iterator[tuple[str, int, bytes]]:
    """Yield (what, status code, bytes) for all that a tenant can read, through kube-apiserver and
    directly."""
    identity = cluster.tenant_identity(tenant)

    def read(request: tuple[str | None, str, str]) -> tuple[str, int, bytes]:
        through, path, accept = request
        answer = cluster.direct(path, identity=identity, headers={"Accept": accept}, through=through)
        return f"{through or 'directly'} {path} as {accept}", answer.code, answer.body + json.dumps(dict(answer.headers)).encode()

    routes, paths = (cluster.description["management"]["server"], None), (*lists(tenant), *documents())
    # All requests run at once, because each watch lasts a second.
    with ThreadPoolExecutor(16) as pool:
        yield from pool.map(read, itertools.product(routes, paths, ("application/json", TABLE, METADATA, YAML)))


def described(cluster: Running, tenant: str) -> Iterator[tuple[str, int, bytes]]:
    """Yield what kubectl shows to the tenant."""
    for kind in ("workloads", "baremetalhosts.metal3.io"):
        for verb in (["describe", kind], ["get", kind, "-o", "wide"], ["get", kind, "-o", "yaml", "--show-managed-fields"]):
            yield " ".join(verb), 200, cluster.kubectl(tenant, *verb).encode()


def errors(cluster: Running, tenant: str) -> Iterator[tuple[str, int, bytes]]:
    """Yield the answers to refused requests: an error may quote what the client must not see."""
    name = cluster.items(tenant, "baremetalhosts.metal3.io")[0]["metadata"]["name"]
    for patch in (
        {"spec": {"bmc": {"address": "redfish://mine", "credentialsName": "mine"}}},
        {"spec": {"online": True}},
        {"metadata": {"annotations": {"owner.example.com/location": "mine"}}},
        {"spec": {"consumerRef": {"kind": "X", "name": "x", "namespace": "elsewhere"}}},
    ):
        done = cluster.try_kubectl(
            tenant, "patch", "baremetalhosts.metal3.io", name, "--type=merge", "--dry-run=server", "-p", json.dumps(patch)
        )
        yield f"patch {patch}", 0, (done.stdout + done.stderr).encode()


@pytest.mark.parametrize("prefix", ["", "x", "xy"])
def test_the_search_finds_what_it_is_for(prefix: str) -> None:
    marked = f"{prefix}{CANARY}yz"
    assert "plain" in sightings(marked.encode())
    assert any(found.startswith("base64") for found in sightings(base64.b64encode(marked.encode())))
    assert sightings(b"nothing") == []


def test_the_owner_does_see_the_marks(cluster: Running) -> None:
    for kind in ("baremetalhosts", "secrets"):
        assert sightings(cluster.kubectl(OWNER, "get", kind, "-n", "metal3", "-o", "yaml").encode())


WANTED = [
    secret("boot", userData="#cloud-config\n"),
    workload("seen", userData={"name": "boot"}),
    workload("waits", requirements={"ram": "64Ti"}),
]


def test_no_tenant_reads_anything_of_the_owners(tenants: Running) -> None:
    tenants.kubectl("a", "apply", "-f", "-", stdin=WANTED)
    tenants.kubectl("a", "wait", "workload/seen", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
    search(tenants)


@pytest.fixture(scope="module")
def unattended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a cluster in which only the test writes the hosts' status."""
    folder = tmp_path_factory.mktemp("cluster") / "unattended"
    try:
        yield running.start(folder, "--bmo", "none", "--tenants", ",".join(TENANTS))
    finally:
        running.stop(folder)


def test_errors_show_tenants_nothing_of_the_owners_either(unattended: Running) -> None:
    """Report error messages as Ironic words them, LLDP data, and credentials in status. Tenant a's
    host and all but one of the others carry them."""
    unattended.kubectl("a", "apply", "-f", "-", stdin=WANTED)
    unattended.kubectl("a", "wait", "workload/seen", "--for=condition=Bound", "--timeout=60s")
    message = f"Failed to connect to https://bmc-1.{CANARY}.example.com/redfish/v1 as {CANARY}-admin-1: secret host-1-bmc-{CANARY} is wrong"
    error = {"errorMessage": message, "errorType": "power management error", "operationalStatus": "error", "errorCount": 3}
    hosts = sorted(unattended.items(OWNER, "baremetalhosts", "-n", "metal3"), key=lambda host: "consumerRef" not in host["spec"])
    for real in hosts[:-1]:
        patch = json.dumps({"status": error})
        arguments = ("bmh", real["metadata"]["name"], "-n", "metal3", "--subresource=status", "--type=merge", "-p", patch)
        unattended.kubectl(OWNER, "patch", *arguments)

    def reported() -> bool:
        (mine,) = [view for view in unattended.items("a", "baremetalhosts.metal3.io") if view["spec"].get("consumerRef")]
        return bool(mine["status"].get("errorType") and mine["status"]["errorMessage"])

    eventually(reported, seconds=90)
    search(unattended)


def search(cluster: Running) -> None:
    """Fail when a tenant can read the canary anywhere."""
    seen, read = [], 0
    for tenant in TENANTS:
        for what, code, body in (*everything(cluster, tenant), *described(cluster, tenant), *errors(cluster, tenant)):
            read += len(body) if code < 300 else 0
            seen += [f"{what}: {form}" for form in sightings(body)]
    assert not seen
    assert read > 100_000, "so little was read that the search proves nothing"
