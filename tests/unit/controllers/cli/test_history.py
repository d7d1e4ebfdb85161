"""Check what `metal3-workloads history` prints."""

from __future__ import annotations

from controllers.cli.history import SHOWN, content, shown
from controllers.cli.tables import Screen
from tests.unit.controllers.test_fleetreport import CLAIM, host

PAST = {"namespace": "tenant-a", "name": "web", "uid": "1", "boundAt": "2026-03-01T00:00:00Z", "releasedAt": "2026-03-09T00:00:00Z"}


def test_the_present_claim_is_first() -> None:
    title, head, first, second = shown([host("node-0", claim=CLAIM, history=[PAST])]).splitlines()
    assert title == "node-0 of class metal (Host uuid-node-0)"
    assert head.split() == ["TENANT", "WORKLOAD", "BOUND", "RELEASED"]
    assert first.split() == ["tenant-b", "db"]
    assert second.split() == ["tenant-a", "web", PAST["boundAt"], PAST["releasedAt"]]


def test_a_host_without_claims_says_so() -> None:
    assert shown([host("node-0")]).splitlines()[1] == "no claims are recorded"


def test_json_has_every_field() -> None:
    [found] = content([host("node-0", history=[PAST])])
    assert found == {"host": "node-0", "claims": [PAST]}


def test_a_terminal_shows_the_latest_claims_and_their_errors() -> None:
    past = [{**PAST, "uid": str(number), "lastError": "image not found"} for number in range(SHOWN + 2)]
    lines = shown([host("node-0", history=past)], Screen(width=80)).splitlines()
    assert len(lines) <= 36
    assert "image not found" in lines[2]
    assert lines[-1] == "... and 2 more: -o json has all"
