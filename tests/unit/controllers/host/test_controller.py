"""Cover the status of a Host, as its provider reports the machine."""

from __future__ import annotations

from apiserver.apis.host import HostStatus
from controllers.host.controller import changed_status, host_status
from controllers.providers.base import Consumer, ProviderHost, Source
from tests.unit.controllers.clusters import host


def test_a_real_host_that_is_ours_without_a_claim_is_an_orphan() -> None:
    consumer = Consumer("Workload", "a", "w", "uid")
    reported = ProviderHost(Source("metal3", "h", "u"), {"name": "h"}, False, "Claimed", "…", consumer=consumer)
    assert host_status(reported, host("h"))["reason"] == "Orphaned"
    assert "consumerRef" in host_status(reported, host("h"))["message"]
    assert host_status(reported, host("h", claim="w"))["reason"] == "Claimed"


def test_what_the_server_makes_of_a_report_is_no_difference() -> None:
    provisioning = {"state": "available"}
    status = {"available": True, "report": {"name": "h", "spec": {}, "status": {"provisioning": provisioning, "ofALaterBMO": 1}}}
    stored = HostStatus.decode(status).encode() | {"phase": "Available"}
    assert stored != {**status, "phase": "Available"}
    assert changed_status({"status": stored}, status) is None
    changed = {**status, "available": False}
    assert changed_status({"status": stored}, changed) == {**changed, "phase": "Available"}
    unreadable = {**status, "available": "perhaps"}
    assert changed_status({"status": stored}, unreadable) == {**unreadable, "phase": "Available"}, "the server says what is wrong"
