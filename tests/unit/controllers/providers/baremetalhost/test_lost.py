"""Check which hosts are given back after the store was lost, and how their Workloads are created
again."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.apis.host import HeldClaim
from apiserver.apis.workload import Workload
from controllers.providers.baremetalhost import lost as plan
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.desired import left_to, recovers
from controllers.providers.baremetalhost.identity import Identity
from controllers.providers.baremetalhost.record import LARGEST, held_claim, read_record, record_of
from tests.unit.controllers.clusters import workload

HERE = Identity("here")
NAMESPACES = {"team-a": {"metadata": {"name": "team-a", "uid": "ns-a"}}}
HOST: dict[str, Any] = {"metadata": {"name": "h"}, "spec": {"className": "metal"}}
IMAGE = {"url": "https://images.example/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256"}


def lost(**annotations: str) -> dict[str, Any]:
    """Return a real host that a lost Workload has."""
    reference = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "namespace": "team-a", "name": "w"}
    return {
        "metadata": {
            "name": "r",
            "namespace": "metal3",
            "uid": "real",
            "resourceVersion": "5",
            "labels": {names.WORKLOAD_UID: "old"},
            "annotations": {names.MANAGEMENT: "here", **annotations},
        },
        "spec": {"consumerRef": reference, "image": IMAGE, "online": True},
    }


def test_a_host_is_lost_when_the_store_does_not_know_its_workload() -> None:
    assert plan.is_lost(lost(), None, HERE)
    assert plan.is_lost(lost(), HOST, HERE)
    claim = {"namespace": "team-a", "name": "w", "uid": "old"}
    assert not plan.is_lost(lost(), {**HOST, "spec": {**HOST["spec"], "claimRef": claim}}, HERE)
    assert not plan.is_lost(lost(), HOST, Identity("elsewhere")), "another management cluster's"
    free = lost()
    del free["spec"]["consumerRef"]
    assert not plan.is_lost(free, HOST, HERE)


def test_the_record_brings_the_workload_back_as_it_was() -> None:
    wl = workload("w", userData={"name": "boot"}, image=IMAGE)
    wl["metadata"]["labels"] = {"claimed": "no", "workload.metal3.io/claimed-through": "baremetalhost"}
    bmh = lost(**{names.RECORD: record_of(wl, "ns-a")})
    made = plan.successor(bmh, "metal")
    Workload.decode(made)
    assert made["spec"] == {"className": "metal", **wl["spec"]}
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == ("team-a", "w")
    assert made["metadata"]["labels"] == {"workload.metal3.io/claimed-through": "baremetalhost"}
    HeldClaim.decode(held_claim(bmh))


@pytest.mark.parametrize("value", ["", "no JSON", "[]", '{"spec": 1}'])
def test_without_a_record_the_host_itself_tells_what_runs(value: str) -> None:
    bmh = lost(**({names.RECORD: value} if value else {}))
    assert read_record(bmh).spec == {"image": IMAGE, "online": True}
    Workload.decode(plan.successor(bmh, "metal"))


def test_a_workload_that_is_too_large_is_not_recorded() -> None:
    assert record_of(workload("w", image={**IMAGE, "url": "https://images.example/" + "x" * LARGEST}), "ns-a") == ""


@pytest.mark.parametrize(
    ("host", "found", "namespaces", "word"),
    [
        (None, None, NAMESPACES, "not reported"),
        ({**HOST, "spec": {"claimRef": {"namespace": "b", "name": "x", "uid": "u"}}}, None, NAMESPACES, "claimRef"),
        (HOST, None, {}, "was deleted"),
        (HOST, None, {"team-a": {"metadata": {"name": "team-a", "uid": "later"}}}, "was deleted"),
        (HOST, {"status": {"host": {"name": "other"}}}, NAMESPACES, "another host"),
    ],
)
def test_what_is_in_the_way_is_told(host: Any, found: Any, namespaces: Any, word: str) -> None:
    bmh = lost(**{names.RECORD: record_of(workload("w"), "ns-a")})
    assert word in (plan.obstacle(bmh, host, found, namespaces) or "")
    assert plan.obstacle(bmh, HOST, None, NAMESPACES) is None


def test_a_namespace_that_is_missing_may_be_created_where_its_uid_is_not_recorded() -> None:
    assert "create it and run this again" in (plan.obstacle(lost(), HOST, None, {}) or "")


def test_only_a_workload_of_the_name_takes_over_and_only_once() -> None:
    bmh = lost()
    mine, other = workload("w"), workload("x")
    assert not left_to(bmh, mine), "its owner has not said so"
    bmh["metadata"]["annotations"] |= plan.marking_patch(bmh)["metadata"]["annotations"]
    assert (left_to(bmh, mine), left_to(bmh, other), recovers(bmh)) == (True, False, "old")
    bmh["metadata"]["labels"][names.WORKLOAD_UID] = "new"
    assert not left_to(bmh, mine)
