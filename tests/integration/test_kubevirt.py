"""Cover virtual machines through a class, on a real kube-apiserver that has KubeVirt's kinds and a
simulation of its controllers."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.registry.generic.patch import merge_patch
from controllers.providers.base import Source
from controllers.providers.machines.flavors import Slot, slot_uid
from controllers.providers.machines.kubevirt.images import root_disk
from controllers.providers.machines.kubevirt.manifest import data_volume, install_patch, virtual_machine
from controllers.providers.machines.kubevirt.parameters import MachineFlavor, Parameters
from controllers.providers.machines.kubevirt.seed import seed
from controllers.providers.testing import claim
from hack.kubevirt.install import NAMESPACE, Machines
from hack.realcluster.processes import Processes, stop
from tests.integration.canary import sightings
from tests.integration.conftest import HOSTS
from tests.integration.running import ADMIN, OWNER, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

CLASSES, HOST = "workloadclasses", "hosts.workload.metal3.io"
BMH = "baremetalhosts.metal3.io"
IMAGE = {"url": "https://images.example.com/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256"}

Object = dict[str, Any]


@pytest.fixture(scope="module")
def machines(cluster: Running) -> Iterator[Machines]:
    """Create the class `vms`, which offers two machines; nothing of it is visible afterwards."""
    made = Machines(cluster.root, cluster.tools)
    made.install(["a", "b"])
    eventually(lambda: counts(cluster) == (2, 2, 0))
    yield made
    cluster.kubectl(ADMIN, "delete", CLASSES, "vms")
    eventually(lambda: len(cluster.items(ADMIN, HOST)) == HOSTS)
    asyncio.run(stop(Processes(cluster.root).named("simulated-kubevirt")))


def counts(cluster: Running) -> tuple[int, int, int]:
    """Return the class's numbers of hosts: total, free, claimed."""
    hosts = cluster.get(ADMIN, CLASSES, "vms").get("status", {}).get("hosts", {})
    return hosts.get("total", 0), hosts.get("free", 0), hosts.get("claimed", 0)


def workload(name: str, **spec: Any) -> Object:
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name, "namespace": "a"},
        "spec": {"className": "vms", "online": True, "image": IMAGE, **spec},
    }


def phase(cluster: Running, name: str) -> str:
    return str(cluster.get("a", "workload", name, "-n", "a").get("status", {}).get("phase"))


def condition(obj: Object, kind: str) -> Object:
    return next((item for item in obj.get("status", {}).get("conditions", []) if item["type"] == kind), {"reason": "", "message": ""})


def test_a_life(tenants: Running, machines: Machines) -> None:
    """Check that a Workload that does not mention virtual machines gets one, with its data."""
    data = {"userData": "#cloud-config\n", "password": "nothing of this is shown"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vm-boot", "namespace": "a"}, "stringData": data}
    wanted = workload("os", userData={"name": "vm-boot"}, requirements={"cpuCount": 2, "ram": "4Gi", "storage": "40Gi"})
    tenants.kubectl("a", "create", "-f", "-", stdin=[secret, wanted])
    eventually(lambda: phase(tenants, "os") == "Running")
    status = tenants.get("a", "workload", "os", "-n", "a")["status"]
    assert status["hardware"]["cpuCount"] == 2
    assert [address["type"] for address in status["addresses"]] == ["InternalIP", "Hostname"]
    [vm] = tenants.items(OWNER, "virtualmachines", "-n", NAMESPACE)
    assert vm["status"]["printableStatus"] == "Running"
    [disk] = tenants.items(OWNER, "datavolumes", "-n", NAMESPACE)
    assert disk["spec"]["source"]["http"] == {"url": IMAGE["url"], "checksum": f"sha256:{'0' * 64}"}
    view = tenants.get("a", BMH, status["host"]["name"], "-n", "a")
    assert view["status"]["hardware"]["nics"][0]["mac"] == view["spec"]["bootMACAddress"]
    assert not sightings(json.dumps([view, status]).encode())
    assert NAMESPACE not in json.dumps(view)
    tenants.kubectl("a", "delete", "workload", "os", "-n", "a", "--timeout=60s")
    tenants.kubectl("a", "delete", "secret", "vm-boot", "-n", "a")
    eventually(lambda: counts(tenants) == (2, 2, 0))
    assert not tenants.items(OWNER, "virtualmachines,virtualmachineinstances,datavolumes,secrets", "-n", NAMESPACE)


@pytest.mark.parametrize("url", [IMAGE["url"], "docker://registry.example.com/os:1", "containerdisk://registry.example.com/os:1"])
@pytest.mark.parametrize("user", [b"#cloud-config", b'{"ignition": {}}'])
def test_nothing_is_sent_that_the_kinds_do_not_have(cluster: Running, machines: Machines, url: str, user: bytes) -> None:
    """Send the objects with strict validation, which refuses a field that a kind does not have. In
    daily use the field would be dropped silently."""
    nics = [{"name": "eth0"}, {"name": "eth1", "network": "x/y"}, {"name": "eth2", "network": "z", "binding": "sriov"}]
    flavor = MachineFlavor.decode({"name": "f", "cpu": 2, "memory": "4Gi", "disk": "40Gi", "capacity": 1, "nics": nics})
    given = {"namespace": NAMESPACE, "flavors": [flavor.encode()], "nodeSelector": {"a": "b"}, "storageClassName": "fast", "identity": "m"}
    parameters, slot = Parameters.decode(given), Slot("f", 0)
    secrets = {"userData": {"userData": user}, "networkData": {"networkData": b"version: 2"}}
    request = claim("w", Source(NAMESPACE, "f-0", slot_uid("p", slot)), secrets=secrets)
    disk = root_disk({"image": {**IMAGE, "url": url}}, verify=False)
    assert disk is not None
    vm = virtual_machine(request, slot, flavor, parameters)
    vm["metadata"]["uid"] = "0"
    objects = [merge_patch(vm, install_patch(vm, disk, seed(request).volume)), data_volume(vm, disk, "40Gi", parameters)]
    for sent in filter(None, objects):
        cluster.kubectl(OWNER, "create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=sent)


def test_a_quota_of_the_owners(tenants: Running, machines: Machines) -> None:
    """Check that admission of the real kube-apiserver refuses the second machine, which is created
    once the first is gone."""
    hard = {"count/virtualmachines.kubevirt.io": "1"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "machines", "namespace": NAMESPACE}, "spec": {"hard": hard}}
    tenants.kubectl(OWNER, "create", "-f", "-", stdin=quota)
    # No quota controller runs in this cluster. The test writes what it would: nothing is used now,
    # and again later when one machine is gone.
    count(tenants, hard)
    tenants.kubectl("a", "create", "-f", "-", stdin=[workload("one"), workload("two")])

    def bound(name: str) -> Object:
        return condition(tenants.get("a", "workload", name, "-n", "a"), "Bound")

    eventually(lambda: sorted(bound(name)["reason"] for name in ("one", "two")) == ["Bound", "QuotaExceeded"])
    first, second = sorted(("one", "two"), key=lambda name: bound(name)["reason"])
    assert "as soon as there is" in bound(second)["message"]
    hosts = [host["status"] for host in tenants.items(ADMIN, HOST) if host["spec"]["className"] == "vms"]
    assert any("raise the ResourceQuota" in status.get("message", "") for status in hosts)
    tenants.kubectl("a", "delete", "workload", first, "-n", "a", "--timeout=60s")
    count(tenants, hard)
    eventually(lambda: phase(tenants, second) == "Running")
    tenants.kubectl(OWNER, "delete", "resourcequota", "machines", "-n", NAMESPACE)


def count(cluster: Running, hard: dict[str, str]) -> None:
    """Write into the quota's status that nothing is used."""
    patch = json.dumps({"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}})
    cluster.kubectl(OWNER, "patch", "resourcequota", "machines", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", patch)


def test_a_machine_deleted_behind_our_back(tenants: Running, machines: Machines) -> None:
    tenants.kubectl("a", "create", "-f", "-", stdin=workload("os"))
    eventually(lambda: phase(tenants, "os") == "Running")
    tenants.kubectl(OWNER, "delete", "virtualmachines", "--all", "-n", NAMESPACE, "--timeout=60s")
    eventually(lambda: phase(tenants, "os") == "Lost")
    bound = condition(tenants.get("a", "workload", "os", "-n", "a"), "Bound")
    assert bound["reason"] == "HostGone"
    assert "create a new one" in bound["message"]
    assert not tenants.items(OWNER, "virtualmachines", "-n", NAMESPACE)
    tenants.kubectl("a", "delete", "workload", "os", "-n", "a", "--timeout=60s")
    eventually(lambda: counts(tenants) == (2, 2, 0))


def test_rights_that_are_missing_are_named(tenants: Running, machines: Machines) -> None:
    """Check that the class names missing rights. Other tests show that the role of
    manifests/kubevirt is sufficient."""
    tenants.kubectl(OWNER, "delete", "rolebinding", "metal3-workloads", "-n", NAMESPACE)
    machines.put_credentials(machines.kubeconfig())
    eventually(lambda: condition(tenants.get(ADMIN, CLASSES, "vms"), "Connected")["reason"] == "Forbidden")
    assert "virtualmachines.kubevirt.io" in tenants.kubectl(ADMIN, "describe", CLASSES, "vms")
    tenants.kubectl(OWNER, "apply", "--server-side", "-k", "manifests/kubevirt")
    eventually(lambda: condition(tenants.get(ADMIN, CLASSES, "vms"), "Connected")["reason"] == "Connected")
