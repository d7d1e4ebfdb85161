"""Check that a report which the server refuses freezes nothing: the host is not offered, and its
Host says why."""

from __future__ import annotations

from typing import Any

from controllers.host.controller import changed_status, refused_status
from tests.unit.controllers.clusters import BMH, HOSTS, bmh, controllers, two_clusters
from tests.unit.controllers.fakeapi import Address, Failure, FakeApi, eventually, patched


async def refuse_models(api: FakeApi, request: Any, address: Address, body: Any) -> None:
    """Refuse PATCH hosts/status as a server does that does not know the real host's CPU
    architecture."""
    hardware = ((patched(api.get(HOSTS, address[2]), body)["status"].get("report") or {}).get("status") or {}).get("hardware") or {}
    if (hardware.get("cpu") or {}).get("arch") == "refused":
        raise Failure(422, "Invalid", "status.report.status.hardware.cpu.arch: Unsupported value")


async def test_a_host_whose_report_is_refused_is_not_offered_and_says_why() -> None:
    async with two_clusters() as clusters, controllers(clusters):
        clusters.hardware.put(BMH, bmh("h1"))

        def status() -> dict[str, Any]:
            return next((host.get("status") or {} for host in clusters.management.all(HOSTS)), {})

        await eventually(lambda: status().get("available") is True)
        report = status()["report"]
        clusters.management.hooks["PATCH hosts/status"] = refuse_models
        arch = clusters.host("h1")["status"].get("hardware", {}).get("cpu", {}).get("arch")
        clusters.hardware.edit(BMH, "h1", {"status": {"hardware": {"cpu": {"arch": "refused"}}}}, "metal3")
        await eventually(lambda: status().get("reason") == "ReportRefused")
        assert status()["available"] is False
        assert status()["report"] == report, "the last report that was taken stays"
        clusters.hardware.edit(BMH, "h1", {"status": {"hardware": {"cpu": {"arch": arch}}}}, "metal3")
        await eventually(lambda: status().get("available") is True)
        assert "reason" not in status()


def test_what_it_says_once_it_does_not_say_again() -> None:
    report = {"name": "h1", "spec": {"online": False}, "status": {"operationalStatus": "OK", "provisioning": {"state": "available"}}}
    host = {"metadata": {"name": "x"}, "status": {"available": True, "report": report}}
    refused = changed_status(host, refused_status(host, {"available": True, "dirtyFor": "team-a"}))
    assert refused is not None
    assert refused["dirtyFor"] == "team-a"
    again = {**host, "status": refused}
    assert changed_status(again, refused_status(again, {"available": True, "dirtyFor": "team-a"})) is None
