"""Demonstrate one cluster of servers and virtual machines: both take the same steps and have the
same view, and only a label distinguishes them."""

from __future__ import annotations

import json
from typing import Any

from hack.demos import command
from hack.demos.consumers import Machines as Consumers
from hack.demos.story import Story
from hack.kubevirt.install import NAMESPACE, Machines
from tests.clients.identities import WATCHES_HOSTS, service_account
from tests.integration.running import ADMIN, OWNER, Running, eventually

TENANT = "a"
KIND = "hardware.metal3.io/kind"
MACHINES = {"server-0": "server", "server-1": "server", "vm-0": "vm", "vm-1": "vm"}
BMH, CLASSES, HOSTS = "baremetalhosts.metal3.io", "workloadclasses", "hosts.workload.metal3.io"

Object = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration on clusters of its own. Return the exit code."""
    return command.run(arguments, tell, "--hosts", "2", "--tenants", TENANT, name="hybrid", description=__doc__)


def tell(cluster: Running) -> None:
    """Run the demonstration. Raises AssertionError at the first step with another result."""
    story, machines = Story("Servers and virtual machines in one Cluster API cluster"), Machines(cluster.root, cluster.tools)
    _servers(story, cluster)
    _virtual_machines(story, cluster, machines)
    kubeconfig = service_account(cluster, TENANT, "capm3", everywhere=WATCHES_HOSTS)
    with Consumers(kubeconfig, TENANT, {name: f"{KIND}={kind}" for name, kind in MACHINES.items()}) as consumers:
        hosts = _provisioned(story, cluster, consumers)
        _remediated(story, cluster, consumers)
        _changed_in_use(story, cluster)
        _expired_credentials(story, cluster, machines)
        _released(story, cluster, consumers, hosts)
    story.end()


def _servers(story: Story, cluster: Running) -> None:
    story.step("The owner has two servers, and marks what they are")
    story.show(cluster, OWNER, "label", "baremetalhosts", "--all", "-n", "metal3", f"{KIND}=server")
    eventually(lambda: _kinds(cluster) == ["server", "server"])
    story.checked("the tenant sees both, with the label")


def _virtual_machines(story: Story, cluster: Running, machines: Machines) -> None:
    story.step("The owner adds a class of virtual machines: a flavor with room for two, in a KubeVirt cluster")
    machines.install([TENANT])
    eventually(lambda: _kinds(cluster) == ["server", "server", "vm", "vm"])
    eventually(lambda: _class(cluster)["status"]["hosts"]["free"] == 2)
    story.show(cluster, ADMIN, "get", CLASSES)
    story.show(cluster, TENANT, "get", BMH, "-n", TENANT, "-L", KIND)
    assert not cluster.items(OWNER, "virtualmachines", "-n", NAMESPACE), "no machine exists before its host is claimed"
    story.checked("four hosts are free; the virtual machines do not exist yet")


def _provisioned(story: Story, cluster: Running, consumers: Consumers) -> list[str]:
    story.step("Four machines of one Cluster API cluster choose hosts by their selectors: two servers, two virtual machines")
    steps = consumers.until("provision")
    for name, taken in steps.items():
        story.print_line(f"{name}: {' → '.join(step['step'] for step in taken)} on {taken[-1]['host']}")
    story.show(cluster, TENANT, "get", BMH, "-n", TENANT, "-L", KIND)
    story.show(cluster, OWNER, "get", "virtualmachines", "-n", NAMESPACE)
    hosts = {name: taken[-1]["host"] for name, taken in steps.items()}
    for name, host in hosts.items():
        view = cluster.get(TENANT, BMH, host, "-n", TENANT)
        assert view["metadata"]["labels"][KIND] == MACHINES[name], f"{name} got {host}"
        assert view["status"]["provisioning"]["state"] == "provisioned", host
        assert all(nic.get("mac") and nic.get("name") for nic in view["status"]["hardware"]["nics"]), host
    addresses = [_address(cluster, hosts[name]) for name in ("vm-0", "vm-1")]
    assert all(addresses), addresses
    story.checked(f"all four are provisioned, each on a host of its kind; the virtual machines have the addresses {', '.join(addresses)}")
    return sorted(hosts.values())


def _remediated(story: Story, cluster: Running, consumers: Consumers) -> None:
    story.step("Remediation reboots all four: power off by an annotation, then on again")
    before = _instances(cluster)
    consumers.until("reboot")
    after = _instances(cluster)
    assert before.keys() == after.keys(), (before, after)
    assert all(before[name] != after[name] for name in before), "an instance was not started again"
    assert all(view["status"]["poweredOn"] for view in cluster.items(TENANT, BMH, "-n", TENANT))
    story.show(cluster, OWNER, "get", "virtualmachineinstances", "-n", NAMESPACE)
    story.checked("each virtual machine runs in a new instance, on the same disk; the servers are on again")


def _changed_in_use(story: Story, cluster: Running) -> None:
    story.step("The owner doubles the flavor's memory and halves its capacity while both machines are in use")
    before = _instances(cluster)
    flavor = _class(cluster)["spec"]["parameters"]["flavors"][0]
    _set_flavors(cluster, [{**flavor, "memory": "8Gi", "capacity": 1}])
    eventually(lambda: _reasons(cluster) == ["BeyondCapacity", "FlavorChanged"])
    story.show(cluster, ADMIN, "get", HOSTS)
    for host in cluster.items(ADMIN, HOSTS):
        if host["spec"]["className"] == "vms":
            story.print_line(f"{host['spec']['source']['name']}: {host['status']['message']}")
    assert _instances(cluster) == before
    assert {vm["spec"]["template"]["spec"]["domain"]["memory"]["guest"] for vm in _vms(cluster)} == {"4096Mi"}
    story.checked("the machines stay as they are, and the hosts say so")


def _expired_credentials(story: Story, cluster: Running, machines: Machines) -> None:
    story.step("The credentials of the KubeVirt cluster expire; later the owner puts new ones into the secret")
    config = json.loads(machines.kubeconfig())
    config["users"][0]["user"]["token"] = "expired"
    machines.put_credentials(json.dumps(config))
    eventually(lambda: _connected(cluster)["reason"] == "Unauthorized")
    story.show(cluster, ADMIN, "get", CLASSES)
    story.print_line(f"vms: {_connected(cluster)['message']}")
    assert _kinds(cluster) == ["server", "server", "vm", "vm"]
    story.checked("the class says what to do, and the tenant still sees its hosts as they were last known")
    machines.put_credentials(machines.kubeconfig())
    eventually(lambda: _connected(cluster)["status"] == "True")
    story.checked("it continues with the new credentials, without a restart")


def _released(story: Story, cluster: Running, consumers: Consumers, hosts: list[str]) -> None:
    story.step("The cluster is deleted: all four are deprovisioned and released")
    _set_flavors(cluster, [{**_class(cluster)["spec"]["parameters"]["flavors"][0], "memory": "4Gi", "capacity": 2}])
    eventually(lambda: _reasons(cluster) == ["Claimed", "Claimed"])
    for name, taken in consumers.until("done").items():
        story.print_line(f"{name}: {' → '.join(step['step'] for step in taken)}")
    eventually(lambda: _free(cluster) == hosts)
    eventually(lambda: not cluster.items(OWNER, "virtualmachines,virtualmachineinstances,datavolumes,secrets", "-n", NAMESPACE))
    story.show(cluster, TENANT, "get", BMH, "-n", TENANT, "-L", KIND)
    story.show(cluster, ADMIN, "get", CLASSES)
    story.checked("all four hosts are free again, and nothing is left in the KubeVirt cluster")


def _kinds(cluster: Running) -> list[str]:
    views = cluster.items(TENANT, BMH, "-n", TENANT)
    return sorted(view["metadata"].get("labels", {}).get(KIND, "") for view in views)


def _free(cluster: Running) -> list[str]:
    views = cluster.items(TENANT, BMH, "-n", TENANT)
    return sorted(view["metadata"]["name"] for view in views if "consumerRef" not in view["spec"])


def _address(cluster: Running, host: str) -> str:
    view = cluster.get(TENANT, BMH, host, "-n", TENANT)
    return str(view["status"]["hardware"]["nics"][0].get("ip", ""))


def _vms(cluster: Running) -> list[Object]:
    return cluster.items(OWNER, "virtualmachines", "-n", NAMESPACE)


def _instances(cluster: Running) -> dict[str, str]:
    """Return the uids of the instances, by name."""
    found = cluster.items(OWNER, "virtualmachineinstances", "-n", NAMESPACE)
    return {vmi["metadata"]["name"]: vmi["metadata"]["uid"] for vmi in found}


def _class(cluster: Running) -> Object:
    return cluster.get(ADMIN, CLASSES, "vms")


def _connected(cluster: Running) -> Object:
    conditions: list[Object] = _class(cluster)["status"]["conditions"]
    return next(condition for condition in conditions if condition["type"] == "Connected")


def _set_flavors(cluster: Running, flavors: list[Object]) -> None:
    patch = json.dumps({"spec": {"parameters": {"flavors": flavors}}})
    cluster.kubectl(ADMIN, "patch", CLASSES, "vms", "--type=merge", "-p", patch)


def _reasons(cluster: Running) -> list[str]:
    """Return why the class's hosts are not free."""
    hosts = (host for host in cluster.items(ADMIN, HOSTS) if host["spec"]["className"] == "vms")
    return sorted(host["status"].get("reason", "") for host in hosts)
