"""Check whose quota counts a host without a Workload: from the end of the claim until other tenants
can claim the host."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry.claims.quotacharges import can_take_again, charge_by_report, charge_of
from apiserver.registry.generic.context import DeleteOptions
from storage.base import Delete
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, Registries, report

CHARGE = {"namespace": "a", "name": "w", "uid": "u"}
OWN = {**CHARGE, "namespaceUID": "1"}


@pytest.mark.parametrize(
    ("charge", "status", "after"),
    [
        (CHARGE, {"available": True}, None),
        (CHARGE, {"available": False, "reason": "Quarantined"}, CHARGE),
        (OWN, {"available": True, "dirtyFor": "a", "dirtyForUID": "1"}, OWN),
        (None, {"available": True, "dirtyFor": "a", "dirtyForUID": "1"}, {"namespace": "a", "namespaceUID": "1"}),
        (OWN, {"available": True, "dirtyFor": "b", "dirtyForUID": "2"}, {"namespace": "b", "namespaceUID": "2"}),
        (OWN, {"available": True, "dirtyFor": "a", "dirtyForUID": "later"}, {"namespace": "a", "namespaceUID": "later"}),
        (OWN, {"available": False, "reason": "Dirty", "dirtyFor": "a"}, None),
        (OWN, {"available": False, "reason": "Quarantined", "dirtyFor": "a"}, None),
        (None, {"available": False}, None),
    ],
)
def test_a_report_ends_a_charge_only_where_others_can_have_the_host(charge: Any, status: Any, after: Any) -> None:
    assert charge_by_report(charge, status) == after


def test_a_workload_that_continues_leaves_no_charge() -> None:
    host = {"spec": {"claimRef": CHARGE, "view": {"annotations": {"capm3.metal3.io/unhealthy": ""}}}}
    assert charge_of(host, {"metadata": {}}) is None
    assert charge_of(host, {"metadata": {"deletionTimestamp": "now"}}) == {**CHARGE, "unhealthy": True}
    assert charge_of(host, None) == {**CHARGE, "unhealthy": True}


def test_only_the_namespace_itself_takes_an_uncleaned_host_again() -> None:
    host: dict[str, Any] = {"metadata": {}, "spec": {}, "status": {"available": True, "report": {"name": "n"}, "dirtyFor": "a"}}
    assert can_take_again(host, "a")
    assert not can_take_again(host, "b")
    assert not can_take_again({**host, "status": {"available": False, "dirtyFor": "a"}}, "a")


async def released(registries: Registries) -> str:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    await registries.workloads.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    await registries.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {k: v for k, v in old["spec"].items() if k != "claimRef"}})
    return host


def charged(registries: Registries, host: str) -> Any:
    return registries.hosts.get("", host).object()["spec"].get("chargedTo")


async def test_a_charge_begins_in_the_commit_that_clears_the_claim_and_counts_once(registries: Registries) -> None:
    host = await released(registries)
    assert charged(registries, host)["namespace"] == "tenant-a"
    assert registries.hosts.claims.hosts_without_workload("tenant-a") == [], "its Workload is still what counts"
    await registries.workloads.update(
        CONTEXT, "tenant-a", "node-0", lambda old: {**old, "metadata": {k: v for k, v in old["metadata"].items() if k != "finalizers"}}
    )
    assert [entry.name for entry in registries.hosts.claims.hosts_without_workload("tenant-a")] == [host]
    await registries.report(host, {"available": True, "report": report()})
    assert registries.hosts.claims.hosts_without_workload("tenant-a") == []
    assert charged(registries, host) is None


async def test_a_claim_takes_its_place(named: Registries) -> None:
    host = await released(named)
    assert charged(named, host)["namespaceUID"] == "uid-tenant-a"
    await named.report(host, {"available": True, "dirtyFor": "tenant-a", "dirtyForUID": "uid-tenant-a", "report": report()})
    assert charged(named, host) is not None
    await named.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert charged(named, host) is None


async def test_whose_workload_is_gone_counts_for_its_namespace_although_it_is_claimed(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert registries.hosts.claims.hosts_without_workload("tenant-a") == []
    entry = registries.workloads.get("tenant-a", "node-0")
    await registries.workloads.cache.commit([Delete(entry.key, entry.revision)])
    assert [found.name for found in registries.hosts.claims.hosts_without_workload("tenant-a")] == [host]


async def test_clients_cannot_write_a_charge(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {**old["spec"], "chargedTo": CHARGE}})
    assert charged(registries, host) is None
