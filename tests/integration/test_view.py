"""Cover the BareMetalHost view: how CAPM3 claims and releases a host, and that only one tenant
can."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.integration.objects import IMAGE
from tests.integration.running import ADMIN, OWNER, Running, eventually

if TYPE_CHECKING:
    import subprocess

BMH = "baremetalhosts.metal3.io"


def consumer(name: str, namespace: str) -> dict[str, str]:
    """Return what CAPM3 writes as consumerRef."""
    return {"kind": "Metal3Machine", "name": name, "namespace": namespace, "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1"}


def claim(cluster: Running, tenant: str, host: str) -> subprocess.CompletedProcess[str]:
    """Claim a host as CAPM3 does: by a merge patch without resourceVersion, which also says what to
    run."""
    patch: dict[str, Any] = {
        "metadata": {"labels": {"cluster.x-k8s.io/cluster-name": f"cluster-{tenant}"}},
        "spec": {"consumerRef": consumer(f"machine-{tenant}", tenant), "image": IMAGE, "online": True},
    }
    return cluster.try_kubectl(tenant, "patch", BMH, host, "--type=merge", "-p", json.dumps(patch))


def state(cluster: Running, tenant: str, host: str) -> str:
    """Return the state that a view shows."""
    shown: str = cluster.get(tenant, BMH, host)["status"]["provisioning"]["state"]
    return shown


def test_claim_provision_and_release(tenants: Running) -> None:
    name = tenants.items("a", BMH)[0]["metadata"]["name"]
    done = claim(tenants, "a", name)
    assert done.returncode == 0, done.stderr
    claimed = tenants.get("a", BMH, name)
    assert claimed["spec"]["consumerRef"] == consumer("machine-a", "a")
    assert claimed["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == "cluster-a"
    tenants.kubectl("a", "wait", f"{BMH}/{name}", "--for=jsonpath={.status.provisioning.state}=provisioned", "--timeout=60s")

    record = next(host for host in tenants.items(ADMIN, "hosts.workload.metal3.io") if host["spec"].get("claimRef"))
    real = record["spec"]["source"]["name"]
    assert tenants.get(OWNER, BMH, "-n", "metal3", real)["spec"]["image"] == IMAGE
    eventually(lambda: name not in [host["metadata"]["name"] for host in tenants.items("b", BMH)])

    tenants.kubectl("a", "patch", BMH, name, "--type=merge", "-p", '{"spec": {"image": null, "userData": null, "online": false}}')
    assert state(tenants, "a", name) in ("deprovisioning", "available")
    tenants.kubectl("a", "wait", f"{BMH}/{name}", "--for=jsonpath={.status.provisioning.state}=available", "--timeout=60s")
    release = {"metadata": {"labels": {"cluster.x-k8s.io/cluster-name": None}}, "spec": {"consumerRef": None}}
    tenants.kubectl("a", "patch", BMH, name, "--type=merge", "-p", json.dumps(release))
    eventually(lambda: "consumerRef" not in tenants.get(OWNER, BMH, "-n", "metal3", real)["spec"])
    eventually(lambda: name in [host["metadata"]["name"] for host in tenants.items("b", BMH)])


def test_one_of_two_gets_the_host(tenants: Running) -> None:
    both = {host["metadata"]["name"] for host in tenants.items("a", BMH)} & {host["metadata"]["name"] for host in tenants.items("b", BMH)}
    name = sorted(both)[0]
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda tenant: claim(tenants, tenant, name), ("a", "b"))
    assert sorted([first.returncode == 0, second.returncode == 0]) == [False, True], (first.stderr, second.stderr)
    loser = first if first.returncode else second
    # The offer may be withdrawn before the second patch arrives. The host is then not found.
    assert "Conflict" in loser.stderr or "NotFound" in loser.stderr
    claims = [host for host in tenants.items(ADMIN, "hosts.workload.metal3.io") if host["spec"].get("claimRef")]
    assert len(claims) == 1


def test_a_write_that_claims_nothing_is_refused_with_what_to_do(tenants: Running) -> None:
    name = tenants.items("a", BMH)[0]["metadata"]["name"]
    done = tenants.try_kubectl("a", "patch", BMH, name, "--type=merge", "-p", '{"spec": {"online": true}}')
    assert done.returncode != 0
    assert "consumerRef" in done.stderr


def test_the_status_is_the_servers(tenants: Running) -> None:
    name = tenants.items("a", BMH)[0]["metadata"]["name"]
    patch = '{"status": {"provisioning": {"state": "provisioned"}}}'
    done = tenants.try_kubectl("a", "patch", BMH, name, "--subresource=status", "--type=merge", "-p", patch)
    assert done.returncode != 0
    assert state(tenants, "a", name) == "available"


def test_waits_for_conditions_end_when_they_are_about_the_last_write(tenants: Running) -> None:
    name = tenants.items("a", BMH)[0]["metadata"]["name"]
    assert claim(tenants, "a", name).returncode == 0
    tenants.kubectl("a", "wait", f"{BMH}/{name}", "--for=condition=Provisioned", "--timeout=60s")
    view = tenants.get("a", BMH, name)
    assert view["status"]["provisioning"]["state"] == "provisioned"
    found = {item["type"]: item for item in view["status"]["conditions"]}
    assert set(found) == {"AvailableForProvisioning", "Healthy", "Manageable", "Progressing", "Provisioned", "Ready"}
    assert {item["observedGeneration"] for item in found.values()} == {view["metadata"]["generation"]}
    other = {**IMAGE, "url": "https://images.example.com/other.qcow2"}
    tenants.kubectl("a", "patch", BMH, name, "--type=merge", "-p", json.dumps({"spec": {"image": other}}))
    tenants.kubectl("a", "wait", f"{BMH}/{name}", "--for=condition=Provisioned", "--timeout=60s")
    shown = tenants.get("a", BMH, name)
    assert shown["status"]["provisioning"]["image"]["url"] == other["url"], "the wait did not end with the first image"
    tenants.kubectl("a", "patch", BMH, name, "--type=merge", "-p", '{"spec": {"image": null, "online": false}}')
    tenants.kubectl("a", "wait", f"{BMH}/{name}", "--for=condition=Provisioned=false", "--timeout=60s")
    tenants.kubectl("a", "wait", f"{BMH}/{name}", "--for=condition=AvailableForProvisioning", "--timeout=60s")
    tenants.kubectl("a", "patch", BMH, name, "--type=merge", "-p", '{"spec": {"consumerRef": null}}')


def test_a_host_with_a_hardware_problem_is_kept_back(tenants: Running) -> None:
    record = tenants.items(ADMIN, "hosts.workload.metal3.io")[0]
    real, name = record["spec"]["source"]["name"], record["metadata"]["name"]
    tenants.kubectl(OWNER, "annotate", BMH, "-n", "metal3", real, "simulator.metal3.io/health=Critical", "--overwrite")
    try:
        tenants.kubectl(ADMIN, "wait", f"hosts.workload.metal3.io/{name}", "--for=jsonpath={.status.reason}=NotHealthy", "--timeout=60s")
        eventually(lambda: record["status"]["report"]["name"] not in [host["metadata"]["name"] for host in tenants.items("a", BMH)])
    finally:
        tenants.kubectl(OWNER, "annotate", BMH, "-n", "metal3", real, "simulator.metal3.io/health-")
    tenants.kubectl(ADMIN, "wait", f"hosts.workload.metal3.io/{name}", "--for=jsonpath={.status.phase}=Available", "--timeout=60s")


def test_hardware_data_is_served_beside_the_view_and_read_only(tenants: Running) -> None:
    views = {view["metadata"]["name"]: view["status"]["hardware"] for view in tenants.items("a", BMH)}
    assert {data["metadata"]["name"]: data["spec"]["hardware"] for data in tenants.items("a", "hardwaredata.metal3.io")} == views
    name = min(views)
    assert "AGE" in tenants.kubectl("a", "get", "hd", name)
    assert "hardware" in tenants.kubectl("a", "explain", "hardwaredata.spec")
    tenants.kubectl("a", "patch", BMH, name, "--type=merge", "-p", json.dumps({"spec": {"consumerRef": consumer("m", "a")}}))
    tenants.kubectl("b", "wait", f"hardwaredata.metal3.io/{name}", "--for=delete", "--timeout=60s")
    assert tenants.get("a", "hardwaredata.metal3.io", name)["spec"]["hardware"] == views[name]
    refused = tenants.try_kubectl(ADMIN, "delete", "hardwaredata.metal3.io", "-n", "a", name)
    assert "MethodNotAllowed" in refused.stderr or "does not allow this method" in refused.stderr
    listed = tenants.kubectl("a", "api-resources", "--api-group=metal3.io", "-o", "name").split()
    assert sorted(listed) == ["baremetalhosts.metal3.io", "hardwaredata.metal3.io"], "what is not served is not listed"
    answer = tenants.try_kubectl(ADMIN, "get", "--raw", "/apis/metal3.io/v1alpha1/namespaces/a/hostfirmwaresettings")
    assert "NotFound" in answer.stderr
    assert "not served here" in answer.stderr
    tenants.kubectl("a", "patch", BMH, name, "--type=merge", "-p", '{"spec": {"consumerRef": null}}')
