"""Cover instances of a cloud through a class: real kube-apiservers, moto for EC2, and a simulated
Keystone and Nova."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from libcloud.compute.drivers.ec2 import EC2NodeDriver
from libcloud.compute.drivers.openstack import OpenStack_2_NodeDriver

from hack.cloud.ec2 import simulated_ec2
from hack.cloud.openstack import simulated_openstack
from hack.realcluster.manifests import SYSTEM_NAMESPACE
from tests.integration.conftest import HOSTS
from tests.integration.running import ADMIN, Running, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

CLASSES, HOST, SECRET = "workloadclasses", "hosts.workload.metal3.io", "cloud-keys"
IMAGE = {"url": "https://images.example.com/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256"}
ID = "ami-0123456789abcdef0"

Object = dict[str, Any]


@dataclass(frozen=True)
class CloudInstance:
    """Describe an instance as its owner sees it. `state` is running or stopped, among others."""

    id: str
    state: str
    image: str
    tags: Mapping[str, str]


class Account:
    """Look at EC2 as its owner. The class attributes are what differs in OpenStack."""

    driver, region, kind = "ec2", "eu-central-1", "t3.small"
    keys = {"accessKey": "AKcanary", "secretKey": "canary"}  # noqa: RUF012 (nobody changes it)

    def __init__(self, port: int) -> None:
        self._driver: Any = EC2NodeDriver("key", "secret", region=self.region, host="127.0.0.1", port=port, secure=False)

    def instances(self) -> list[CloudInstance]:
        """Return the instances that are not terminated."""
        nodes = [node for node in self._driver.list_nodes() if node.extra["status"] not in {"shutting-down", "terminated"}]
        return [CloudInstance(node.id, node.extra["status"], node.extra["image_id"], node.extra["tags"]) for node in nodes]

    def state(self) -> str:
        """Return the state of the only instance."""
        [seen] = self.instances()
        return seen.state

    def terminate(self, seen: CloudInstance) -> None:
        """Terminate the instance, as an operator may do in the cloud's console."""
        [node] = [node for node in self._driver.list_nodes() if node.id == seen.id]
        self._driver.destroy_node(node)


class Project(Account):
    """Look at OpenStack as its owner."""

    driver, region, kind = "openstack", "RegionOne", "m1.small"
    keys = {"applicationCredentialId": "credential", "applicationCredentialSecret": "canary-secret"}  # noqa: RUF012 - read only, as in every harness

    def __init__(self, port: int) -> None:
        self._driver = OpenStack_2_NodeDriver(
            "credential",
            "canary-secret",
            secure=False,
            ex_force_auth_url=f"http://127.0.0.1:{port}",
            ex_force_auth_version="3.x_appcred",
            ex_force_service_region=self.region,
            ex_force_service_name="the compute service",
        )

    def instances(self) -> list[CloudInstance]:
        nodes = [node for node in self._driver.list_nodes() if node.extra["task_state"] != "deleting"]
        return [
            CloudInstance(
                node.id,
                str(node.state),
                node.extra["imageId"],
                {key.replace(":", "/", 1): value for key, value in node.extra["metadata"].items()},
            )
            for node in nodes
        ]


CLOUDS: dict[str, tuple[type[Account], Callable[[], AbstractContextManager[int]]]] = {
    "ec2": (Account, simulated_ec2),
    "openstack": (Project, lambda: simulated_openstack(ID)),
}


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest, tenants: Running) -> Iterator[Account]:
    """Create the class `cloud`, which offers two instances to tenants a and b; nothing of it is
    left afterwards."""
    kind, simulated = CLOUDS[request.param]
    with simulated() as port:
        flavor = {"name": "small", "instanceType": kind.kind, "cpu": 2, "memory": "2Gi", "disk": "8Gi", "capacity": 2}
        keys = {"metadata": {"name": SECRET, "namespace": SYSTEM_NAMESPACE}, "stringData": kind.keys}
        parameters = {
            "driver": kind.driver,
            "region": kind.region,
            "endpoint": f"http://127.0.0.1:{port}",
            "pollSeconds": 1,
            "flavors": [flavor],
            "images": [{"url": IMAGE["url"], "id": ID}],
        }
        spec = {
            "provisioner": "metal3.io/cloud",
            "credentialsSecretRef": {"namespace": SYSTEM_NAMESPACE, "name": SECRET},
            "allowedNamespaces": {"names": ["a", "b"]},
            "parameters": parameters,
        }
        class_ = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "WorkloadClass", "metadata": {"name": "cloud"}, "spec": spec}
        tenants.kubectl(ADMIN, "create", "-f", "-", stdin=[{"apiVersion": "v1", "kind": "Secret", **keys}, class_])
        eventually(lambda: counts(tenants) == (2, 2, 0))
        account = kind(port)
        yield account
        tenants.kubectl("a", "delete", "workloads", "--all", "-n", "a", "--timeout=60s")
        eventually(lambda: not account.instances())
        tenants.kubectl(ADMIN, "delete", CLASSES, "cloud")
        eventually(lambda: len(tenants.items(ADMIN, HOST)) == HOSTS)
        tenants.kubectl(ADMIN, "delete", "secret", SECRET, "-n", SYSTEM_NAMESPACE)


def counts(cluster: Running) -> tuple[int, int, int]:
    """Return the class's numbers of hosts: total, free, claimed."""
    hosts = cluster.get(ADMIN, CLASSES, "cloud").get("status", {}).get("hosts", {})
    return hosts.get("total", 0), hosts.get("free", 0), hosts.get("claimed", 0)


def workload(**spec: Any) -> Object:
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": "os", "namespace": "a"},
        "spec": {"className": "cloud", "online": True, "image": IMAGE, **spec},
    }


def status(cluster: Running) -> Object:
    return dict(cluster.get("a", "workload", "os", "-n", "a").get("status") or {})


def test_a_life(tenants: Running, cloud: Account) -> None:
    """Create, stop, start, reboot and release an instance."""
    data = {"userData": "#cloud-config\n"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cloud-boot", "namespace": "a"}, "stringData": data}
    tenants.kubectl("a", "create", "-f", "-", stdin=[secret, workload(userData={"name": "cloud-boot"}, requirements={"cpuCount": 2})])
    eventually(lambda: status(tenants).get("phase") == "Running")
    [node] = cloud.instances()
    assert node.image == ID
    assert node.tags["workload.metal3.io/workload"] == "a/os"
    name = status(tenants)["host"]["name"]
    view = tenants.get("a", "baremetalhosts.metal3.io", name, "-n", "a")
    [nic] = view["status"]["hardware"]["nics"]
    assert (nic["mac"], nic["ip"]) != ("", "")
    for shown in (view, tenants.get("a", "workload", "os", "-n", "a"), tenants.get("a", CLASSES, "cloud")):
        assert not any(secret in json.dumps(shown) for secret in ("canary", cloud.region, node.id, "i-0"))

    tenants.kubectl("a", "patch", "workload", "os", "-n", "a", "--type=merge", "-p", json.dumps({"spec": {"online": False}}))
    eventually(lambda: cloud.state() == "stopped" and status(tenants).get("phase") == "Stopped")
    tenants.kubectl("a", "patch", "workload", "os", "-n", "a", "--type=merge", "-p", json.dumps({"spec": {"online": True}}))
    eventually(lambda: cloud.state() == "running" and status(tenants).get("phase") == "Running")
    tenants.kubectl("a", "annotate", "baremetalhosts.metal3.io", name, "-n", "a", "reboot.metal3.io=")
    eventually(lambda: "reboot.metal3.io" not in notes_on(tenants, name))
    assert [found.id for found in cloud.instances()] == [node.id], "it is the same machine all the time"

    tenants.kubectl("a", "delete", "workload", "os", "-n", "a", "--timeout=60s")
    tenants.kubectl("a", "delete", "secret", "cloud-boot", "-n", "a")
    assert cloud.instances() == []
    eventually(lambda: counts(tenants) == (2, 2, 0))


def notes_on(cluster: Running, name: str) -> Object:
    return dict(cluster.get("a", "baremetalhosts.metal3.io", name, "-n", "a")["metadata"].get("annotations") or {})


def test_an_instance_that_is_terminated_by_hand(tenants: Running, cloud: Account) -> None:
    """Check that the Workload reports the loss, and that no other machine replaces it under its
    name."""
    tenants.kubectl("a", "create", "-f", "-", stdin=workload())
    eventually(lambda: status(tenants).get("phase") == "Running")
    cloud.terminate(cloud.instances()[0])
    eventually(lambda: status(tenants).get("phase") == "Lost")
    assert cloud.instances() == []
    tenants.kubectl("a", "delete", "workload", "os", "-n", "a", "--timeout=60s")


@pytest.mark.parametrize("cloud", ["ec2"], indirect=True)
def test_keys_are_rotated_without_a_restart(tenants: Running, cloud: Account) -> None:
    """Replace the keys by invalid ones: the owner sees the failure, and the Workload's machine
    stays. With valid keys everything continues."""

    def connected() -> Object:
        conditions = tenants.get(ADMIN, CLASSES, "cloud")["status"]["conditions"]
        found: list[Object] = [item for item in conditions if item["type"] == "Connected"]
        assert found, "the condition is not there yet"
        return found[0]

    def set_key(value: bytes) -> None:
        data = {"data": {"secretKey": base64.b64encode(value).decode() if value else None}}
        tenants.kubectl(ADMIN, "patch", "secret", SECRET, "-n", SYSTEM_NAMESPACE, "--type=merge", "-p", json.dumps(data))

    tenants.kubectl("a", "create", "-f", "-", stdin=workload())
    eventually(lambda: status(tenants).get("phase") == "Running")
    set_key(b"")
    eventually(lambda: connected()["status"] == "False" and connected()["reason"] == "NoCredentials")
    assert "secretKey" in connected()["message"]
    assert cloud.state() == "running"
    set_key(b"another")
    eventually(lambda: connected()["status"] == "True")
    tenants.kubectl("a", "delete", "workload", "os", "-n", "a", "--timeout=60s")
    assert cloud.instances() == []
