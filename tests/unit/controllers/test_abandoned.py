"""Cover claims whose Workload is gone: how long they stay, and what the owner reads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from apiserver.client.indexer import Store
from controllers.host.abandoned import looks_lost, terms_of, wait_of, with_abandonment

STATUS = {"available": False, "reason": "Abandoned", "message": "the workload is gone"}
LONG_AGO = "2020-01-01T00:00:00Z"


def said(when: str) -> dict[str, Any]:
    return {"type": "Abandoned", "status": "True", "reason": "WorkloadGone", "message": "", "lastTransitionTime": when}


KEPT = "its class keeps such hosts as they are (reclaim.abandoned)"


@pytest.mark.parametrize(
    ("class_", "terms"),
    [
        (None, KEPT),
        ({"spec": {}}, 86400),
        ({"spec": {"reclaim": {"abandoned": "Keep"}}}, KEPT),
        ({"spec": {"reclaim": {"abandonedGracePeriodSeconds": 5}}}, 5),
    ],
)
def test_the_class_says_whether_and_when(class_: Any, terms: Any) -> None:
    assert terms_of(class_, lost=False) == terms


def test_a_store_that_has_lost_its_workloads_reclaims_nothing() -> None:
    assert "restore the store" in str(terms_of({"spec": {}}, lost=True))


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
    status = with_abandonment(STATUS, {"status": {"conditions": [said(LONG_AGO)]}}, 60)
    assert "after 2020-01-01T00:01:00Z" in status["message"]
    assert status["conditions"][0]["message"] == status["message"]
    assert status["conditions"][0]["lastTransitionTime"] == LONG_AGO
    assert with_abandonment(STATUS, {"status": status}, 60) == status, "nothing is written again and again"
    assert "keeps such hosts" in with_abandonment(STATUS, {"status": status}, KEPT)["message"]


def test_it_waits_for_the_grace_period_from_when_it_was_said_first() -> None:
    fresh = with_abandonment(STATUS, {}, 3600)
    waits = wait_of(fresh, 3600)
    assert waits is not None
    assert 0 < waits <= 3600
    assert wait_of({"conditions": [said(LONG_AGO)]}, 3600) == 0
    assert wait_of({"conditions": [said(LONG_AGO)]}, KEPT) is None


def test_a_workload_that_is_there_again_takes_the_word_back() -> None:
    other = {**said(LONG_AGO), "type": "Other"}
    status = with_abandonment({"available": False}, {"status": {"conditions": [said(LONG_AGO), other]}}, None)
    assert status["conditions"] == [other]
    assert "conditions" not in with_abandonment({"available": True}, {"status": {}}, None)
