"""Demonstrate a batch of machines: it waits until there is room for all, is updated one by one, and
survives the deletion of its set."""

from __future__ import annotations

import json
from typing import Any

from hack.demos import command
from hack.demos.story import Story
from tests.integration.running import ADMIN, OWNER, Running, eventually

TENANT, SET = "a", "db"
HOSTS, SETS, WORKLOADS = "hosts.workload.metal3.io", "workloadsets", "workloads.workload.metal3.io"
BMH = "baremetalhosts.metal3.io"
IMAGE = "https://images.example.com/os.qcow2"
OTHER = "https://images.example.com/os-2.qcow2"
COLLECTED = 90
"""The seconds that kube-controller-manager's garbage collector may need, because it discovers kinds
every 30 s."""

Object = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration on clusters of its own. Return the exit code."""
    return command.run(arguments, tell, "--hosts", "3", "--tenants", TENANT, name="batch", description=__doc__)


def tell(cluster: Running) -> None:
    """Run the demonstration. Raises AssertionError at the first step with another result."""
    story = Story("A batch of machines that starts together")
    last = _cordoned(story, cluster)
    _waits_whole(story, cluster)
    _starts_together(story, cluster, last)
    _scaled(story, cluster)
    _updated(story, cluster)
    _orphaned_and_adopted(story, cluster)
    _released(story, cluster)
    story.end()


def _cordoned(story: Story, cluster: Running) -> str:
    story.step("The owner has three machines, and takes one out of service")
    last: str = sorted(host["metadata"]["name"] for host in cluster.items(ADMIN, HOSTS))[-1]
    story.show(cluster, ADMIN, "patch", HOSTS, last, "--type=merge", "-p", '{"spec": {"unschedulable": true}}')
    eventually(lambda: len([view for view in cluster.items(TENANT, BMH) if view["status"]["provisioning"]["state"] == "available"]) == 2)
    story.checked("the tenant is offered two")
    return last


def batch(image: str, **spec: Any) -> Object:
    """Return the WorkloadSet of the batch, with this image."""
    template = {"metadata": {"labels": {"app": SET}}, "spec": {"image": {"url": image, "checksum": f"{image}.sha256sum"}}}
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "WorkloadSet",
        "metadata": {"name": SET},
        "spec": {"selector": {"matchLabels": {"app": SET}}, "template": template, **spec},
    }


def _waits_whole(story: Story, cluster: Running) -> None:
    story.step("A tenant asks for three machines, all or nothing")
    cluster.kubectl(TENANT, "create", "-f", "-", stdin=batch(IMAGE, replicas=3, minAvailable=3))
    eventually(lambda: [_bound(one) for one in _members(cluster)] == ["False"] * 3)
    story.show(cluster, TENANT, "get", SETS, "-o", "wide")
    assert not [one for one in _members(cluster) if (one.get("status") or {}).get("host")]
    story.checked("no member has a host, although two are free")


def _starts_together(story: Story, cluster: Running, last: str) -> None:
    story.step("The owner puts the third machine into service again")
    story.show(cluster, ADMIN, "patch", HOSTS, last, "--type=merge", "-p", '{"spec": {"unschedulable": null}}')
    _ready(story, cluster)
    story.show(cluster, TENANT, "get", WORKLOADS)
    story.checked("all three run")


def _scaled(story: Story, cluster: Running) -> None:
    story.step("The tenant wants fewer")
    refused = cluster.try_kubectl(TENANT, "scale", SETS, SET, "--replicas=2")
    assert refused.returncode != 0, refused.stdout
    story.print_line(refused.stderr.strip())
    story.show(cluster, TENANT, "patch", SETS, SET, "--type=merge", "-p", '{"spec": {"minAvailable": 2}}')
    story.show(cluster, TENANT, "scale", SETS, SET, "--replicas=2")
    eventually(lambda: _names(cluster) == ["db-0", "db-1"], seconds=60)
    _ready(story, cluster)
    story.checked("the member of the highest number is released")


def _updated(story: Story, cluster: Running) -> None:
    story.step("The tenant changes the image, and consents to installing it")
    before = {one["metadata"]["name"]: one["status"]["host"]["name"] for one in _members(cluster)}
    changed = batch(OTHER)["spec"]["template"]
    cluster.kubectl(TENANT, "patch", SETS, SET, "--type=merge", "-p", json.dumps({"spec": {"template": changed}}))
    story.show(cluster, TENANT, "wait", f"{SETS}/{SET}", '--for=jsonpath={.status.conditions[?(@.type=="Stalled")].reason}=UpdateRefused')
    story.checked("what runs is kept until the tenant consents")
    cluster.kubectl(TENANT, "patch", SETS, SET, "--type=merge", "-p", '{"spec": {"updateStrategy": {"type": "RollingUpdate"}}}')
    seen: list[int] = []

    def updated() -> bool:
        members = _members(cluster)
        seen.append(sum((one["status"].get("phase") == "Running") for one in members))
        return all(one["spec"].get("image", {}).get("url") == OTHER and one["status"].get("phase") == "Running" for one in members)

    eventually(updated, seconds=120)
    assert min(seen) >= 1, seen
    _ready(story, cluster)
    assert {one["metadata"]["name"]: one["status"]["host"]["name"] for one in _members(cluster)} == before
    story.checked("one machine ran at every moment, and each member has kept its host")


def _orphaned_and_adopted(story: Story, cluster: Running) -> None:
    story.step("The tenant deletes the set, but not its machines, and creates it again")
    before = {one["metadata"]["name"]: one["metadata"]["uid"] for one in _members(cluster)}
    story.show(cluster, TENANT, "delete", SETS, SET, "--cascade=orphan", f"--timeout={COLLECTED}s")
    assert not [one for one in _members(cluster) if one["metadata"].get("ownerReferences")]
    cluster.kubectl(TENANT, "create", "-f", "-", stdin=batch(OTHER, replicas=2))
    _ready(story, cluster)
    assert {one["metadata"]["name"]: one["metadata"]["uid"] for one in _members(cluster)} == before
    story.checked("the new set has adopted them, and nothing was installed again")


def _released(story: Story, cluster: Running) -> None:
    story.step("The tenant deletes the set with its machines")
    story.show(cluster, TENANT, "delete", SETS, SET, "--cascade=foreground", f"--timeout={COLLECTED}s")
    assert _members(cluster) == [], "a foreground deletion ends after its members"
    assert not [host for host in cluster.items(OWNER, BMH, "-n", "metal3") if "consumerRef" in host["spec"]]
    story.checked("all machines are the owner's again")


def _ready(story: Story, cluster: Running) -> None:
    generation = cluster.get(TENANT, SETS, SET)["metadata"]["generation"]
    eventually(lambda: cluster.get(TENANT, SETS, SET)["status"].get("observedGeneration") == generation)
    story.show(cluster, TENANT, "wait", f"{SETS}/{SET}", "--for=condition=Ready", "--timeout=120s")


def _members(cluster: Running) -> list[Object]:
    return cluster.items(TENANT, WORKLOADS, "-l", f"app={SET}")


def _names(cluster: Running) -> list[str]:
    return [one["metadata"]["name"] for one in _members(cluster)]


def _bound(member: Object) -> str:
    """Return the status of the condition Bound, "" before the scheduler has looked."""
    conditions = (member.get("status") or {}).get("conditions") or ()
    return str(next((one["status"] for one in conditions if one["type"] == "Bound"), ""))
