"""Test that rules about places hold on real clusters, for Workloads and for the members of a
set."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.integration.objects import IMAGE, workload
from tests.integration.running import OWNER, eventually

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.running import Running

RACK = "infrastructure.cluster.x-k8s.io/failure-domain"
LABELS = {"app": "ring"}


def racks(cluster: Running, names: Iterable[str]) -> list[str]:
    """Return the racks of the hosts that these Workloads of tenant a have."""
    rack_of = {
        host["metadata"]["name"]: host["metadata"]["labels"][RACK] for host in cluster.items(OWNER, "baremetalhosts", "-n", "metal3")
    }
    found = {one["metadata"]["name"]: one for one in cluster.items("a", "workloads")}
    return [rack_of[found[name]["status"]["host"]["name"]] for name in names]


def bound(cluster: Running, name: str) -> tuple[str, str]:
    """Return the reason and the message of a Workload's condition Bound, empty before there is one."""
    conditions = [
        (one["reason"], one["message"])
        for found in cluster.items("a", "workloads")
        if found["metadata"]["name"] == name
        for one in found.get("status", {}).get("conditions", ())
        if one["type"] == "Bound"
    ]
    return conditions[0] if conditions else ("", "")


def workload_set(replicas: int, placement: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a WorkloadSet `ring`."""
    template = {"metadata": {"labels": LABELS}, "spec": {"image": IMAGE, "placement": placement}}
    full = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template, **spec}
    return {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "WorkloadSet", "metadata": {"name": "ring"}, "spec": full}


def members(count: int) -> list[str]:
    return [f"ring-{number}" for number in range(count)]


def test_failure_domains_are_required_and_preferred(tenants: Running) -> None:
    domains = {"failureDomains": {"required": ["rack-2", "rack-3"], "preferred": ["rack-3"]}}
    for name, rack in (("first", "rack-3"), ("second", "rack-2")):
        tenants.kubectl("a", "apply", "-f", "-", stdin=workload(name, placement=domains))
        tenants.kubectl("a", "wait", f"workload/{name}", "--for=condition=Bound", "--timeout=60s")
        assert racks(tenants, [name]) == [rack]
    tenants.kubectl("a", "apply", "-f", "-", stdin=workload("third", placement=domains))
    eventually(lambda: "4 are in another failure domain" in bound(tenants, "third")[1])
    assert bound(tenants, "third")[0] == "NoHostFits"
    tenants.kubectl("a", "patch", "workload", "third", "--type=merge", "-p", '{"spec": {"placement": {"failureDomains": null}}}')
    tenants.kubectl("a", "wait", "workload/third", "--for=condition=Bound", "--timeout=60s")


def test_a_set_is_placed_as_a_whole_in_different_racks(tenants: Running) -> None:
    """Ask for five members in different racks, of which there are four: no member gets a host before
    the set asks for four members."""
    apart = {"antiAffinity": {"required": [{"topologyKey": RACK, "labelSelector": {"matchLabels": LABELS}}]}}
    tenants.kubectl("a", "apply", "-f", "-", stdin=workload_set(5, apart, minAvailable=5))
    eventually(lambda: [bound(tenants, name)[0] for name in members(5)] == ["GangWaits"] * 5)
    assert not any("host" in one["status"] for one in tenants.items("a", "workloads"))
    tenants.kubectl("a", "patch", "workloadset", "ring", "--type=merge", "-p", '{"spec": {"replicas": 4, "minAvailable": 4}}')
    tenants.kubectl("a", "wait", "workloadset/ring", "--for=condition=Ready", "--timeout=90s")
    assert sorted(racks(tenants, members(4))) == ["rack-0", "rack-1", "rack-2", "rack-3"]
    tenants.kubectl("a", "scale", "workloadset/ring", "--replicas=5")
    eventually(lambda: "ring-4" in {one["metadata"]["name"] for one in tenants.items("a", "workloads")})
    eventually(lambda: bound(tenants, "ring-4")[0] == "NoHostFits")
    status = tenants.get("a", "workloadset", "ring")["status"]
    assert status["availableReplicas"] == 4, "the others keep their hosts"


def test_the_members_of_a_set_are_spread(tenants: Running) -> None:
    spread = {"topologyKey": RACK, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": LABELS}}
    tenants.kubectl("a", "apply", "-f", "-", stdin=workload_set(5, {"topologySpread": [spread]}))
    tenants.kubectl("a", "wait", "workloadset/ring", "--for=condition=Ready", "--timeout=90s")
    assert sorted(Counter(racks(tenants, members(5))).values()) == [1, 1, 1, 2]


def test_an_exclusive_group_has_its_rack_to_itself(tenants: Running) -> None:
    """Of the two hosts in the rack, the second one is for the group alone."""
    others = {"matchExpressions": [{"key": "group", "operator": "NotIn", "values": ["x"]}]}
    apart = {"antiAffinity": {"required": [{"topologyKey": RACK, "labelSelector": others}]}, "failureDomains": {"required": ["rack-0"]}}
    group = [workload(f"x-{number}", placement=apart) for number in range(2)]
    for one in group:
        one["metadata"]["labels"] = {"group": "x"}
    tenants.kubectl("a", "apply", "-f", "-", stdin=group[0])
    tenants.kubectl("a", "wait", "workload/x-0", "--for=condition=Bound", "--timeout=60s")
    tenants.kubectl("a", "apply", "-f", "-", stdin=[workload(f"other-{number}") for number in range(5)])
    eventually(lambda: Counter(bound(tenants, f"other-{number}")[0] == "NoHostFits" for number in range(5)) == {True: 1, False: 4})
    tenants.kubectl("a", "apply", "-f", "-", stdin=group[1])
    tenants.kubectl("a", "wait", "workload/x-1", "--for=condition=Bound", "--timeout=60s")
    assert racks(tenants, ["x-0", "x-1"]) == ["rack-0", "rack-0"]
