"""Cover hosts that their source holds for one consumer: which namespaces see them, and what their
Host records."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.host.controller import new_host
from controllers.host.tenancy import held
from controllers.offer.plan import held_offers
from controllers.providers.baremetalhost import names
from controllers.providers.base import ProviderHost, Source
from tests.unit.controllers.clusters import BMH, HOSTS, NAMESPACES, WORKLOADS, bmh, controllers, two_clusters, workload
from tests.unit.controllers.fakeapi import eventually

REPORT: dict[str, Any] = {"name": "h1", "spec": {}, "status": {"provisioning": {"state": "provisioned"}}}
HELD: dict[str, Any] = {"namespace": "team-a", "spec": {"consumerRef": {"kind": "Metal3Machine", "name": "m"}}}


def reported(held: dict[str, Any] | None = HELD) -> ProviderHost:
    return ProviderHost(Source("team-a", "h1", "u", identity_namespace="team-a"), REPORT, available=False, reason="Held", held=held)


def host(**status: Any) -> dict[str, Any]:
    return {**new_host("relay", reported()), "status": {"report": REPORT, "held": {**HELD, "namespaceUID": "a"}, **status}}


def test_identity_is_in_the_hosts_source() -> None:
    assert new_host("relay", reported())["spec"]["source"] == {
        "name": "h1",
        "uid": "u",
        "namespace": "team-a",
        "identityNamespace": "team-a",
    }


def namespace(uid: str) -> dict[str, Any]:
    return {"metadata": {"name": "team-a", "uid": uid}}


def test_held_is_recorded_until_a_workload_claims_the_host() -> None:
    free = new_host("relay", reported())
    assert held(reported(), free, None)["held"] == HELD
    assert held(reported(), free, namespace("a"))["held"] == {**HELD, "namespaceUID": "a"}
    assert held(reported(None), free, None) == {}
    claimed = {**free, "spec": {**free["spec"], "claimRef": {"namespace": "team-a", "name": "w", "uid": "x"}}}
    assert "held" not in held(reported(), claimed, namespace("a"))


def test_held_keeps_the_uid_of_the_first_namespace_of_that_name() -> None:
    made = new_host("relay", reported())
    made["status"] = held(reported(), made, namespace("a"))
    later = held(reported(), made, namespace("b"))
    assert later["held"]["namespaceUID"] == "a"
    assert "delete this Host" in later["message"]
    assert "message" not in held(reported(), made, namespace("a"))


def test_held_stays_recorded_while_a_workload_of_that_namespace_has_the_host() -> None:
    made = new_host("relay", reported())
    made["status"] = held(reported(), made, namespace("a"))
    claimed = {**made, "spec": {**made["spec"], "claimRef": {"namespace": "team-a", "name": "w", "uid": "x", "namespaceUID": "a"}}}
    claimed["status"] = held(reported(None), claimed, None)
    handed_back = held(reported(), {**made, "status": claimed["status"]}, namespace("b"))
    assert handed_back["held"]["namespaceUID"] == "a"


def test_another_consumers_claim_is_its_own_namespaces() -> None:
    made = new_host("relay", reported())
    made["status"] = held(reported(), made, namespace("a"))
    other = {**HELD, "spec": {"consumerRef": {"kind": "Metal3Machine", "name": "other"}}}
    assert held(reported(other), made, namespace("b"))["held"]["namespaceUID"] == "b"


@pytest.mark.parametrize(
    ("namespaces", "shown"), [({"team-a": "a", "team-b": "b"}, ["team-a"]), ({"team-a": "later"}, []), ({"team-b": "b"}, []), ({}, [])]
)
def test_a_held_host_is_offered_only_to_its_namespace_if_the_class_allows_it(namespaces: dict[str, str], shown: list[str]) -> None:
    assert held_offers(host(), namespaces) == shown


def test_a_held_host_is_not_offered_without_a_report_or_while_it_is_deleted() -> None:
    assert held_offers(host(report=None), {"team-a": "a"}) == []
    leaving = host()
    leaving["metadata"]["deletionTimestamp"] = "x"
    assert held_offers(leaving, {"team-a": "a"}) == []
    assert held_offers(host(held=None), {"team-a": "a"}) == []


RECORDED: dict[str, Any] = {**HELD, "recovered": True, "namespaceUID": "a"}


@pytest.mark.parametrize("present", [namespace("later"), None])
def test_a_host_held_for_a_deleted_namespace_is_dirty(present: Any) -> None:
    status = held(reported(RECORDED), new_host("metal", reported()), present)
    assert (status["held"]["namespaceUID"], status["reason"]) == ("a", "Dirty")
    assert "was deleted" in status["message"]
    assert "clear spec.image" in status["message"]
    shown_in = {"team-a": "later"} if present else {}
    assert held_offers({**host(), "status": {"report": REPORT, **status}}, shown_in) == []


def test_a_recorded_namespace_takes_precedence_over_the_one_seen_first() -> None:
    made = new_host("metal", reported())
    made["status"] = held(reported(), made, namespace("later"))
    assert held(reported(RECORDED), made, namespace("later"))["heldBy"]["namespaceUID"] == "a"
    assert "reason" not in held(reported(RECORDED), made, namespace("a"))


async def test_a_later_namespace_of_the_name_gets_another_host() -> None:
    """A Workload of the same namespace and name is not the successor if the namespace is
    another."""
    async with two_clusters() as clusters:
        clusters.hardware.put(BMH, bmh("h1"))
        async with controllers(clusters):
            clusters.management.put(WORKLOADS, workload("web"))
            await eventually(lambda: clusters.phase("web") == "Running")
        clusters.management.remove(WORKLOADS, "web", "team-a")
        clusters.management.remove(HOSTS, clusters.host_object("h1"))
        clusters.management.remove(NAMESPACES, "team-a")
        clusters.management.put(NAMESPACES, {"kind": "Namespace", "metadata": {"name": "team-a"}, "status": {"phase": "Active"}})
        mark = {names.RECOVER: clusters.host("h1")["metadata"]["labels"][names.WORKLOAD_UID]}
        clusters.hardware.edit(BMH, "h1", {"metadata": {"annotations": mark}}, "metal3")
        clusters.hardware.put(BMH, bmh("h2"))
        async with controllers(clusters):
            await eventually(lambda: clusters.management.find(HOSTS, clusters.host_object("h1")) is not None)
            clusters.management.put(WORKLOADS, workload("web"))
            await eventually(lambda: clusters.phase("web") == "Running")
            assert clusters.claimed("web") == "h2"
            shown = clusters.management.get(HOSTS, clusters.host_object("h1"))
            assert (shown["status"]["reason"], shown["spec"].get("offers") or []) == ("Dirty", [])
            assert clusters.host("h1")["spec"]["image"]
