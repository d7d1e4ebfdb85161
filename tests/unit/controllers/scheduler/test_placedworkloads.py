"""Check that Workloads are placed as their placements and priorities say, in a whole system."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from tests.unit.controllers.clusters import BMH, HOSTS, WORKLOADS, TwoClusters, bmh, controllers, two_clusters, workload
from tests.unit.controllers.fakeapi import eventually

DB = {"matchLabels": {"app": "db"}}
SPREAD = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": DB}
APART = {"antiAffinity": {"required": [{"topologyKey": "rack", "labelSelector": DB}]}}


def labelled(name: str, namespace: str = "team-a", **spec: Any) -> dict[str, Any]:
    made = workload(name, namespace, **spec)
    made["metadata"]["labels"] = {"app": "db"}
    return made


def add_hosts(clusters: TwoClusters, **racks: int) -> None:
    for rack, count in racks.items():
        for number in range(count):
            clusters.hardware.put(BMH, bmh(f"{rack}{number}", labels={"rack": rack}))


def racks_of(clusters: TwoClusters, namespace: str = "team-a") -> Counter[str]:
    claims = [host["spec"] for host in clusters.management.all(HOSTS) if host["spec"].get("claimRef")]
    return Counter(spec["source"]["name"][0] for spec in claims if spec["claimRef"]["namespace"] == namespace)


def waits(clusters: TwoClusters, name: str) -> bool:
    return bool(clusters.condition(name, "Bound")["status"] == "False")


def runs(clusters: TwoClusters, name: str) -> bool:
    return clusters.phase(name) == "Running"


async def test_simultaneous_workloads_are_spread_and_the_rest_learns_why() -> None:
    async with two_clusters() as clusters:
        add_hosts(clusters, a=4, b=1)
        async with controllers(clusters):
            # A rack without an offered host is no domain yet, so the skew would not count it.
            await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in clusters.management.all(HOSTS)) == 5)
            for number in range(4):
                clusters.management.put(WORKLOADS, labelled(f"w{number}", placement={"topologySpread": [SPREAD]}))
            await eventually(lambda: racks_of(clusters) == {"a": 2, "b": 1})
            waiting = "0/5 hosts are available to this namespace: 3 are its own already, 2 would exceed maxSkew of rack;"
            await eventually(lambda: any(clusters.condition(f"w{number}", "Bound")["message"].startswith(waiting) for number in range(4)))
            add_hosts(clusters, c=2)
            await eventually(lambda: racks_of(clusters) == {"a": 2, "b": 1, "c": 1})


async def test_a_workload_that_waits_is_placed_when_a_neighbour_is_moved_or_labelled_otherwise() -> None:
    async with two_clusters() as clusters:
        add_hosts(clusters, a=2)
        async with controllers(clusters):
            clusters.management.put(WORKLOADS, labelled("first"))
            await eventually(lambda: clusters.phase("first") == "Running")
            clusters.management.put(WORKLOADS, labelled("second", placement=APART))
            waiting = "1 shares rack with a Workload to be apart from"
            await eventually(lambda: waiting in clusters.condition("second", "Bound")["message"])
            clusters.management.edit(WORKLOADS, "first", {"metadata": {"labels": {"app": "other"}}}, "team-a")
            await eventually(lambda: clusters.phase("second") == "Running")


async def test_anti_affinity_holds_against_later_ones_and_survives_a_restart() -> None:
    async with two_clusters() as clusters:
        add_hosts(clusters, a=3)
        async with controllers(clusters):
            clusters.management.put(WORKLOADS, labelled("first", placement=APART))
            await eventually(lambda: clusters.phase("first") == "Running")
        clusters.management.put(WORKLOADS, labelled("second"))
        clusters.management.put(WORKLOADS, labelled("elsewhere", "team-b"))
        async with controllers(clusters):
            await eventually(lambda: clusters.phase("elsewhere", "team-b") == "Running")
            waiting = "0/2 hosts are available to this namespace: 1 is its own already, 1 shares rack with a Workload to be apart from;"
            await eventually(lambda: clusters.condition("second", "Bound")["message"].startswith(waiting))


async def test_a_label_that_the_class_does_not_show_names_no_domain() -> None:
    async with two_clusters() as clusters:
        clusters.management.edit(
            "apis/workload.metal3.io/v1alpha1/workloadclasses", "metal", {"spec": {"metadata": {"labelsMatch": "size"}}}
        )
        add_hosts(clusters, a=1, b=1)
        async with controllers(clusters):
            clusters.management.put(WORKLOADS, labelled("w", placement={"topologySpread": [SPREAD]}))
            await eventually(lambda: "2 lack label rack" in clusters.condition("w", "Bound")["message"])


async def test_the_highest_priority_gets_the_next_host_though_it_came_last() -> None:
    async with two_clusters() as clusters, controllers(clusters):
        for name, priority in (("low", -1), ("usual", None), ("high", 5)):
            clusters.management.put(WORKLOADS, workload(name, priority=priority))
            await eventually(partial(waits, clusters, name))
        for number, name in enumerate(("high", "usual", "low")):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
            await eventually(partial(runs, clusters, name))
            assert clusters.claimed(name) == f"h{number}"


async def test_a_priority_that_fits_no_host_keeps_no_one_waiting() -> None:
    async with two_clusters() as clusters, controllers(clusters):
        clusters.management.put(WORKLOADS, workload("big", priority=9, requirements={"cpuCount": 999}))
        clusters.management.put(WORKLOADS, workload("small"))
        await eventually(partial(waits, clusters, "small"))
        clusters.hardware.put(BMH, bmh("h0"))
        await eventually(lambda: clusters.phase("small") == "Running")
        await eventually(lambda: clusters.condition("big", "Bound")["reason"] == "NoHostFits")
