"""Cover claims whose Workload is gone: how long they stay, and what the owner reads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from apiserver.client.indexer import Store
from controllers.host.abandoned import AbandonedSince, Terms, looks_lost, terms_of, wait_of, with_abandonment
from controllers.providers.baremetalhost import names
from tests.unit.controllers.clusters import BMH, HOSTS, TwoClusters, bmh, controllers, two_clusters
from tests.unit.controllers.clusters import CLASSES as CLASS_PATH
from tests.unit.controllers.clusters import WORKLOADS as WORKLOAD_PATH
from tests.unit.controllers.clusters import workload as whole_workload
from tests.unit.controllers.fakeapi import eventually
from tests.unit.controllers.fakeclock import FakeClock

STATUS = {"available": False, "reason": "Abandoned", "message": "the workload is gone"}
LONG_AGO = "2020-01-01T00:00:00Z"


def abandoned_condition(when: str, reason: str = "WorkloadGone") -> dict[str, Any]:
    return {"type": "Abandoned", "status": "True", "reason": reason, "message": "", "lastTransitionTime": when}


def terms(*, grace: int | None = None, keep: bool = False, lost: bool = False) -> Terms:
    rules: dict[str, Any] = {"abandoned": "Keep"} if keep else {}
    return terms_of({"spec": {"reclaim": {**rules, **({} if grace is None else {"abandonedGracePeriodSeconds": grace})}}}, lost=lost)


KEPT, DAMAGED = terms(keep=True), terms(lost=True)


@pytest.mark.parametrize(
    ("class_", "grace"),
    [
        (None, None),
        ({"spec": {}}, 86400),
        ({"spec": {"reclaim": {"abandoned": "Keep"}}}, None),
        ({"spec": {"reclaim": {"abandonedGracePeriodSeconds": 5}}}, 5),
    ],
)
def test_the_class_says_whether_and_when(class_: Any, grace: int | None) -> None:
    assert terms_of(class_, lost=False).grace == grace
    assert terms_of(class_, lost=True) == DAMAGED
    assert DAMAGED.grace is None


def test_the_advice_about_a_damaged_store_ends_no_other_claim() -> None:
    """Clearing claims makes a damaged store look sound again, so the classes must keep hosts
    first."""
    advice = shown(DAMAGED, {})["message"]
    assert "restore the store" in advice
    assert 0 < advice.index("reclaim.abandoned Keep") < advice.index("clear spec.claimRef")
    assert "clear spec.image" not in advice, "that would wipe what the store may still know"


def shown(terms: Terms | None, status: dict[str, Any]) -> dict[str, Any]:
    return with_abandonment(STATUS, {"status": status}, terms, "clear spec.image")


@pytest.mark.parametrize(
    ("claims", "workloads", "lost"),
    [
        (0, 0, False),
        (1, 0, False),
        (2, 0, False),
        (3, 0, True),
        (6, 3, False),
        (7, 3, True),
        (100, 60, False),
        (100, 49, True),
    ],
)
def test_most_claims_without_a_workload_are_a_damaged_store(claims: int, workloads: int, *, lost: bool) -> None:
    cluster: Any = SimpleNamespace(hosts=SimpleNamespace(store=Store(CLAIMS)), workloads=SimpleNamespace(store=Store({})))
    for number in range(claims):
        cluster.hosts.store.put(f"h{number}", host(number))
    for number in range(workloads):
        cluster.workloads.store.put(f"team-a/w{number}", workload(number))
    assert looks_lost(cluster) is lost


def test_workloads_that_were_created_again_by_name_do_not_hide_a_damaged_store() -> None:
    cluster: Any = SimpleNamespace(hosts=SimpleNamespace(store=Store(CLAIMS)), workloads=SimpleNamespace(store=Store({})))
    for number in range(10):
        cluster.hosts.store.put(f"h{number}", host(number))
        cluster.workloads.store.put(f"team-a/w{number}", {"metadata": {**workload(number)["metadata"], "uid": "later"}})
    assert looks_lost(cluster)


CLAIMS: Any = {"claim": lambda obj: [f"team-a/{obj['spec']['claimRef']['name']}"]}


def host(number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"h{number}"}, "spec": {"claimRef": {"namespace": "team-a", "name": f"w{number}", "uid": f"u{number}"}}}


def workload(number: int) -> dict[str, Any]:
    return {"metadata": {"name": f"w{number}", "namespace": "team-a", "uid": f"u{number}"}}


def test_the_owner_reads_when_it_ends() -> None:
    status = shown(terms(grace=60), {"conditions": [abandoned_condition(LONG_AGO)]})
    assert "after 2020-01-01T00:01:00Z" in status["message"]
    assert "clear spec.image" in status["message"]
    assert status["conditions"][0]["message"] == status["message"]
    assert status["conditions"][0]["lastTransitionTime"] == LONG_AGO
    assert shown(terms(grace=60), status) == status, "nothing is written again and again"
    assert "keeps such hosts" in shown(KEPT, status)["message"]


@pytest.mark.parametrize("before", [KEPT, DAMAGED])
def test_the_grace_period_starts_again_when_the_claim_is_to_end(before: Terms) -> None:
    status = shown(before, {"conditions": [abandoned_condition(LONG_AGO, before.reason)]})
    waits = wait_of(shown(terms(), status), terms(), watched=86400)
    assert waits is not None
    assert waits > 86000


def test_abandoned_is_unknown_while_the_store_is_damaged() -> None:
    [condition] = shown(DAMAGED, {})["conditions"]
    assert (condition["status"], condition["reason"]) == ("Unknown", "StoreDamaged")
    assert shown(KEPT, {})["conditions"][0]["status"] == "True"


def test_the_grace_period_counts_from_the_conditions_transition() -> None:
    waits = wait_of(shown(terms(grace=3600), {}), terms(grace=3600), watched=3600)
    assert waits is not None
    assert 0 < waits <= 3600
    long_ago = {"conditions": [abandoned_condition(LONG_AGO)]}
    assert wait_of(long_ago, terms(grace=3600), watched=3600) == 0
    assert wait_of(long_ago, KEPT, watched=3600) is None


def test_a_clock_that_jumps_ends_no_claim() -> None:
    """One process must have watched the claim for an hour, whatever the wall clock says."""
    long_ago = {"conditions": [abandoned_condition(LONG_AGO)]}
    assert wait_of(long_ago, terms(), watched=0) == 3600
    assert wait_of(long_ago, terms(), watched=3599) == 1
    assert wait_of(long_ago, terms(), watched=3600) == 0
    assert wait_of(long_ago, terms(grace=5), watched=3) == 2
    assert wait_of(long_ago, terms(grace=0), watched=0) == 0


def test_a_clock_that_was_set_back_keeps_no_claim_for_years() -> None:
    waits = wait_of(shown(terms(grace=60), {"conditions": [abandoned_condition("2999-01-01T00:00:00Z")]}), terms(grace=60), watched=60)
    assert waits is not None
    assert waits <= 60


def test_a_process_counts_for_how_long_it_has_seen_each_claim_so() -> None:
    clock = FakeClock()
    sightings = AbandonedSince(clock)
    assert sightings.seconds(host(1), terms()) == 0
    clock.advance(10)
    assert (sightings.seconds(host(1), terms()), sightings.seconds(host(2), terms())) == (10, 0)
    assert sightings.seconds(host(1), DAMAGED) == 0, "another reason"
    clock.advance(10)
    assert sightings.seconds(host(1), terms()) == 0, "the first one again"
    clock.advance(10)
    other = host(1)
    other["spec"]["claimRef"]["uid"] = "another"
    assert sightings.seconds(other, terms()) == 0, "another claim"
    sightings.forget("h2")
    assert sightings.seconds(host(2), terms()) == 0


def test_a_workload_that_is_there_again_takes_the_word_back() -> None:
    other = {**abandoned_condition(LONG_AGO), "type": "Other"}
    assert shown(None, {"conditions": [abandoned_condition(LONG_AGO), other]})["conditions"] == [other]
    assert "conditions" not in shown(None, {})


async def test_a_damaged_store_that_looks_sound_again_wipes_nothing_at_once() -> None:
    workloads = ["one", "two", "three"]
    async with two_clusters() as clusters:
        for name in workloads:
            clusters.hardware.put(BMH, bmh(name))
        async with controllers(clusters):
            for name in workloads:
                clusters.management.put(WORKLOAD_PATH, whole_workload(name))
            await eventually(lambda: {clusters.phase(name) for name in workloads} == {"Running"})
            for name in workloads:
                clusters.management.remove(WORKLOAD_PATH, name, "team-a")
            await eventually(lambda: all("restore the store" in host["status"]["message"] for host in clusters.management.all(HOSTS)))
        ages(clusters)
        async with controllers(clusters):
            [freed, *others] = [host["metadata"]["name"] for host in clusters.management.all(HOSTS)]
            clusters.management.edit(HOSTS, freed, {"spec": {"claimRef": None}})
            await eventually(lambda: clusters.management.get(HOSTS, freed)["status"]["reason"] == "Orphaned")
            clusters.management.edit(CLASS_PATH, "metal", {"spec": {"reclaim": {"abandonedGracePeriodSeconds": 3600}}})
            await eventually(lambda: all("offered again after" in message(clusters, name) for name in others))
            assert all(condition(clusters, name)["lastTransitionTime"] > "2020-02" for name in others)
            assert all(host["spec"].get("image") for host in clusters.hardware.all(BMH)), "nothing was wiped"


def ages(clusters: TwoClusters) -> None:
    """Let all Hosts have said for years that their claims are abandoned."""
    for host in clusters.management.all(HOSTS):
        conditions = [{**item, "lastTransitionTime": LONG_AGO} for item in host["status"]["conditions"]]
        clusters.management.edit(HOSTS, host["metadata"]["name"], {"status": {"conditions": conditions}})


def condition(clusters: TwoClusters, name: str) -> dict[str, Any]:
    [found] = clusters.management.get(HOSTS, name)["status"]["conditions"]
    return dict(found)


def message(clusters: TwoClusters, name: str) -> str:
    return str(condition(clusters, name)["message"])


async def test_what_another_management_cluster_runs_is_not_wiped() -> None:
    """A store may be a copy of another cluster's, with claims of the same uids."""
    async with two_clusters() as clusters:
        clusters.hardware.put(BMH, bmh("h1"))
        async with controllers(clusters):
            clusters.management.put(WORKLOAD_PATH, whole_workload("web"))
            await eventually(lambda: clusters.phase("web") == "Running")
        clusters.hardware.edit(BMH, "h1", {"metadata": {"annotations": {names.MANAGEMENT: "the original"}}}, "metal3")
        clusters.management.remove(WORKLOAD_PATH, "web", "team-a")
        clusters.management.edit(CLASS_PATH, "metal", {"spec": {"reclaim": {"abandonedGracePeriodSeconds": 0}}})
        async with controllers(clusters):
            host = clusters.host_object("h1")
            await eventually(lambda: not clusters.management.get(HOSTS, host)["spec"].get("claimRef"))
            await eventually(lambda: clusters.management.get(HOSTS, host)["status"]["reason"] == "Claimed")
            assert clusters.host("h1")["spec"]["image"]
            assert clusters.host("h1")["spec"]["online"]
