"""Demonstrate one cluster with real hosts, the operator that drives them, and two tenants whose
machines use the gateway as their kube-apiserver."""

from __future__ import annotations

from pathlib import Path

from hack.demos import command
from hack.demos.consumers import Machines as Consumers
from hack.demos.story import Story
from tests.integration.running import ADMIN, Running, eventually

TENANTS = ("a", "b")
HOSTS = 3
BMH, REAL = "baremetalhosts", ("baremetalhosts.metal3.io", "-n", "metal3")


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration on clusters of its own. Return the exit code."""
    return command.run(arguments, tell, "--one-cluster", "--hosts", str(HOSTS), name="one-cluster", description=__doc__)


def tell(cluster: Running) -> None:
    """Run the demonstration. Raises AssertionError at the first step with another result."""
    story = Story("One cluster for real hosts and their tenants")
    gateway = cluster.through_gateway()
    _two_sides(story, cluster, gateway)
    for tenant in TENANTS:
        _watch_hosts(cluster, tenant)
    with _consumers(cluster, "a") as first, _consumers(cluster, "b") as second:
        _installed(story, cluster, gateway, first, second)
        for consumers in (first, second):
            consumers.until("done")
    _released(story, cluster, gateway)
    story.end()


def _two_sides(story: Story, cluster: Running, gateway: Running) -> None:
    story.step("The owner has real hosts in the cluster. Tenants see their views of them, through the gateway, as the same kind")
    story.show(cluster, ADMIN, "get", *REAL)
    story.show(gateway, "a", "get", BMH)
    eventually(lambda: all(len(gateway.items(tenant, BMH)) == HOSTS for tenant in TENANTS))
    assert "Forbidden" in gateway.try_kubectl("a", "get", *REAL).stderr
    story.checked("both tenants see three free hosts, and no real one")


def _watch_hosts(cluster: Running, tenant: str) -> None:
    """Let a tenant's account watch views in all namespaces, as Cluster API's Metal3 provider does."""
    verbs = ("--verb=get,list,watch", "--resource=baremetalhosts.workload.metal3.io")
    cluster.kubectl(ADMIN, "create", "clusterrole", f"watch-{tenant}", *verbs)
    account = f"--serviceaccount={tenant}:tenant"
    cluster.kubectl(ADMIN, "create", "clusterrolebinding", f"watch-{tenant}", f"--clusterrole=watch-{tenant}", account)


def _consumers(cluster: Running, tenant: str) -> Consumers:
    return Consumers(Path(cluster.description["gateway"][tenant]), tenant, {f"worker-{tenant}": ""})


def _installed(story: Story, cluster: Running, gateway: Running, first: Consumers, second: Consumers) -> None:
    story.step("Each tenant's provider, which has Cluster API's libraries, takes and installs a host through the gateway")
    hosts = {}
    for tenant, consumers in zip(TENANTS, (first, second), strict=True):
        (steps,) = consumers.until("provision").values()
        story.print_line(f"{tenant}: {' → '.join(step['step'] for step in steps)} on {steps[-1]['host']}")
        hosts[tenant] = steps[-1]["host"]
    story.show(gateway, "a", "get", BMH)
    story.show(cluster, ADMIN, "get", *REAL)
    assert len(set(hosts.values())) == len(TENANTS), hosts
    states = {one["metadata"]["name"]: one["status"]["provisioning"]["state"] for one in cluster.items(ADMIN, *REAL)}
    assert all(states[host] == "provisioned" for host in hosts.values()), states
    seen = {tenant: {one["metadata"]["name"] for one in gateway.items(tenant, BMH)} for tenant in TENANTS}
    assert hosts["b"] not in seen["a"]
    assert hosts["a"] not in seen["b"]
    story.checked("the operator in the same cluster has installed both, and no tenant sees the other's")


def _released(story: Story, cluster: Running, gateway: Running) -> None:
    story.step("Both machines are rebooted, emptied and given back")
    eventually(lambda: all(len(gateway.items(tenant, BMH)) == HOSTS for tenant in TENANTS), seconds=90)
    story.show(cluster, ADMIN, "get", *REAL)
    assert not any("consumerRef" in one["spec"] for one in cluster.items(ADMIN, *REAL))
    story.checked("all hosts are free again")
