"""Check that gangs get their hosts together or not at all."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.indexer import Store
from apiserver.client.objects import Object, key_of
from controllers.cluster import WORKLOAD_INDEXERS
from controllers.scheduler.cache import ASSUMED_FOR, SchedulerCache
from controllers.scheduler.fit import Candidate, Requirements
from controllers.scheduler.gangs import MOST_RULED, MOST_TOGETHER, Gangs, Refusal
from controllers.scheduler.index import HostIndex
from controllers.scheduler.placedworkloads import PlacedWorkloads
from tests.unit.controllers.clusters import BMH, HOSTS, WORKLOADS, TwoClusters, bmh, controllers, host, two_clusters, workload
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually
from tests.unit.controllers.fakeclock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

BIG: dict[str, Any] = {"requirements": {"cpuCount": 32}}
ON_A: dict[str, Any] = {"hostSelector": {"matchLabels": {"zone": "a"}}}
APART = {"antiAffinity": {"required": [{"topologyKey": "rack", "labelSelector": {}}]}}


def add(clusters: TwoClusters, name: str, least: int, gang: str = "ring", namespace: str = "team-a", **spec: Any) -> None:
    clusters.management.put(WORKLOADS, workload(name, namespace, gang={"name": gang, "minAvailable": least}, **spec))


def all_run(clusters: TwoClusters, *names: str) -> bool:
    return all(clusters.phase(name) == "Running" for name in names)


def says(clusters: TwoClusters, name: str, reason: str, message: str = "") -> bool:
    found = clusters.condition(name, "Bound")
    return found["reason"] == reason and message in found["message"]


def claims(clusters: TwoClusters) -> list[str]:
    return sorted(host["spec"]["claimRef"]["name"] for host in clusters.management.all(HOSTS) if host["spec"].get("claimRef"))


async def test_no_member_gets_a_host_before_enough_can() -> None:
    async with two_clusters() as clusters:
        clusters.hardware.put(BMH, bmh("h0"))
        async with controllers(clusters):
            add(clusters, "w0", 2)
            await eventually(partial(says, clusters, "w0", "GangIncomplete", "needs 2 Workloads and has fewer"))
            add(clusters, "w1", 2)
            for name in ("w0", "w1"):
                await eventually(partial(says, clusters, name, "GangWaits", "hosts for 2 more members at once, and there are hosts for 1"))
            assert claims(clusters) == []
            clusters.hardware.put(BMH, bmh("h1"))
            await eventually(partial(all_run, clusters, "w0", "w1"))
            add(clusters, "w2", 2)
            await eventually(partial(says, clusters, "w2", "NoHostFits"))


async def test_a_gang_that_a_choice_one_by_one_would_leave_waiting_is_placed() -> None:
    async with two_clusters() as clusters:
        clusters.hardware.put(BMH, bmh("small", cpus=8, labels={"zone": "a"}))
        clusters.hardware.put(BMH, bmh("large", cpus=64))
        async with controllers(clusters):
            add(clusters, "any", 2)
            add(clusters, "there", 2, **ON_A)
            await eventually(partial(all_run, clusters, "any", "there"))
            assert (clusters.claimed("any"), clusters.claimed("there")) == ("large", "small")


async def test_what_is_bound_of_a_gang_is_resumed_by_another_process_and_nothing_is_installed_before() -> None:
    """Let the process end between the two bindings of a gang."""
    async with two_clusters() as clusters:
        for number in range(2):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
        bound, bind = asyncio.Event(), clusters.management.hooks["POST workloads/binding"]

        async def only_one(api: FakeApi, request: Any, address: Any, body: Any) -> Any:
            if bound.is_set():
                await asyncio.Event().wait()
            bound.set()
            return await bind(api, request, address, body)

        clusters.management.hooks["POST workloads/binding"] = only_one
        add(clusters, "w0", 2)
        add(clusters, "w1", 2)
        async with controllers(clusters):
            await eventually(lambda: len(claims(clusters)) == 1)
            for _ in range(20):
                await asyncio.sleep(0)
            assert clusters.bmo.log == []
        clusters.management.hooks["POST workloads/binding"] = bind
        async with controllers(clusters):
            await eventually(partial(all_run, clusters, "w0", "w1"))


async def test_two_gangs_that_want_the_same_hosts_do_not_share_them() -> None:
    async with two_clusters() as clusters:
        for number in range(3):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
        for namespace in ("team-a", "team-b"):
            for number in range(2):
                add(clusters, f"{namespace}-{number}", 2, namespace=namespace)
        async with controllers(clusters):
            await eventually(lambda: len(claims(clusters)) == 2)
            holder = claims(clusters)[0][: len("team-a")]
            other = "team-b" if holder == "team-a" else "team-a"
            assert claims(clusters) == [f"{holder}-0", f"{holder}-1"]
            await eventually(lambda: clusters.condition(f"{other}-0", "Bound", other)["reason"] == "GangWaits")
            assert len(claims(clusters)) == 2


async def test_a_gang_with_anti_affinity_is_planned_with_its_own_members() -> None:
    async with two_clusters() as clusters:
        clusters.hardware.put(BMH, bmh("a0", labels={"rack": "a"}))
        clusters.hardware.put(BMH, bmh("a1", labels={"rack": "a"}))
        add(clusters, "w0", 2, placement=APART)
        add(clusters, "w1", 2, placement=APART)
        async with controllers(clusters):
            await eventually(partial(says, clusters, "w0", "GangWaits"))
            assert claims(clusters) == []
            clusters.hardware.put(BMH, bmh("b0", labels={"rack": "b"}))
            await eventually(partial(all_run, clusters, "w0", "w1"))
            assert sorted(clusters.claimed(name)[0] for name in ("w0", "w1")) == ["a", "b"]


async def test_a_gang_that_asks_for_less_is_placed_and_one_that_lost_its_largest_member_too() -> None:
    async with two_clusters() as clusters:
        clusters.hardware.put(BMH, bmh("h0"))
        async with controllers(clusters):
            add(clusters, "w0", 1)
            add(clusters, "w1", 2)
            await eventually(partial(says, clusters, "w0", "GangWaits"))
            clusters.management.remove(WORKLOADS, "w1", "team-a")
            await eventually(partial(all_run, clusters, "w0"))


@pytest.mark.parametrize("late", ["w0", "w1"])
async def test_a_member_that_no_host_fits_keeps_the_others_waiting(late: str) -> None:
    async with two_clusters() as clusters:
        for number in range(2):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
        for name in ("w0", "w1"):
            add(clusters, name, 2, **(BIG if name == late else {}))
        async with controllers(clusters):
            for name in ("w0", "w1"):
                await eventually(partial(says, clusters, name, "GangWaits", "hosts for 1 of them"))
            assert claims(clusters) == []
            clusters.hardware.put(BMH, bmh("h2", cpus=32))
            await eventually(partial(all_run, clusters, "w0", "w1"))


async def test_a_gang_without_quota_keeps_no_hosts_from_others() -> None:
    """Refuse one member, while others of its namespace are still being bound or have not begun."""
    async with two_clusters() as clusters:
        refused, bind = asyncio.Event(), clusters.management.hooks["POST workloads/binding"]
        members = [f"w{number}" for number in range(20)]
        for name in members:
            clusters.hardware.put(BMH, bmh(f"h-{name}"))
            add(clusters, name, len(members))

        async def full(api: FakeApi, request: Any, address: Any, body: Any) -> Any:
            if address[1] != "team-a":
                return await bind(api, request, address, body)
            if refused.is_set():
                await asyncio.Event().wait()
            refused.set()
            raise Failure(403, "Forbidden", "exceeded quota: small")

        clusters.management.hooks["POST workloads/binding"] = full
        async with controllers(clusters):
            await eventually(refused.is_set)
            others = ["x0", "x1", "x2"]
            for name in others:
                clusters.management.put(WORKLOADS, workload(name, "team-b"))
            await eventually(lambda: all(clusters.phase(name, "team-b") == "Running" for name in others), 20)
            assert all(clusters.condition(name, "Bound")["status"] != "True" for name in members)


WORST = [
    {"topologyKey": f"rack{n}", "labelSelector": {"matchExpressions": [{"key": "k", "operator": "NotIn", "values": ["v"] * 16}]}}
    for n in range(8)
]


def planned(*workloads: Object, wanting: Callable[[Object], tuple[str, Requirements] | None]) -> object:
    """Return what a plan for the Workloads says, whose requirements `wanting` returns."""
    store = Store(WORKLOAD_INDEXERS)
    for one in workloads:
        store.put(key_of(one), one)
    gangs = Gangs(SimpleNamespace(wanted=wanting), SchedulerCache(), PlacedWorkloads(store))
    return gangs.make(workloads[0], workloads, set())


def members(count: int, **spec: Any) -> list[Object]:
    made = [workload(f"w{number}", gang={"name": "ring", "minAvailable": count}, **spec) for number in range(count)]
    return [{**one, "metadata": {**one["metadata"], "uid": f"uid-{number}"}} for number, one in enumerate(made)]


@pytest.mark.parametrize(("count", "terms", "reason"), [(MOST_RULED, 1, "GangWaits"), (8, 8, "GangWaits"), (MOST_RULED, 8, "TooComplex")])
def test_selectors_that_compare_too_much_are_refused_before_they_do(count: int, terms: int, reason: str) -> None:
    """Otherwise one plan would keep the process from everything else for a minute."""
    looked = list[Object]()
    refusal = planned(*members(count, placement={"antiAffinity": {"required": WORST[:terms]}}), wanting=looked.append)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason
    assert len(looked) == (count if reason == "GangWaits" else 0), "each member is looked at once"


def test_a_member_whose_placement_counts_no_others_is_not_compared_with_them() -> None:
    """Otherwise, the cost of a plan for many members would be quadratic in their number."""
    store = Store(WORKLOAD_INDEXERS)
    places = PlacedWorkloads(store)
    near, plain, apart = (
        {**one, "spec": {"placement": placement}}
        for one, placement in zip(members(3), ({"failureDomains": {"required": ["a"]}}, {}, APART), strict=True)
    )
    for one in (near, plain, apart):
        store.put(key_of(one), one)
        places.update(None, {"metadata": {"name": f"host-{key_of(one)}"}, "spec": {}, "status": {}})
        places.assume(one, f"host-{key_of(one)}")
    assert [one.workload for one in places.neighbours(near)] == [apart]
    assert [one.workload for one in places.neighbours(apart)] == [near, plain]


def test_domains_are_searched_only_for_requested_keys() -> None:
    index = HostIndex()
    index.add(Candidate("h", {"rack": "a"}))
    assert index.domains(Requirements("", ""), ()) == {}
    assert index.scanned == 0
    assert index.domains(Requirements("", ""), ("rack",)) == {"rack": {"a"}}


def test_no_more_members_are_planned_at_once_than_a_step_may_take() -> None:
    made = members(MOST_TOGETHER + 1)
    looked = list[Object]()
    refusal = planned(*made, wanting=looked.append)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, looked) == ("TooComplex", [])


def test_a_plan_that_has_expired_gives_up_no_host_of_others() -> None:
    clock, store = FakeClock(), Store(WORKLOAD_INDEXERS)
    free, made = SchedulerCache(clock), members(2)
    for number in range(2):
        free.update(None, host(f"h{number}"))
    for one in made:
        store.put(key_of(one), one)
    gangs = Gangs(SimpleNamespace(wanted=lambda one: ("metal", Requirements("", key_of(one)))), free, PlacedWorkloads(store))
    assert isinstance(gangs.make(made[0], made, set()), list)
    clock.advance(ASSUMED_FOR)
    others = {name: free.assume(name) for name in ("h0", "h1")}
    assert gangs.take(made[0]) is None, "its host is another Workload's now"
    gangs.drop(made[1])
    assert all(free.is_assumed(name, serial) for name, serial in others.items())
