"""Check what `metal3-workloads history` prints."""

from __future__ import annotations

import json

from controllers.cli.history import shown
from tests.unit.controllers.test_fleet import CLAIM, host

PAST = {"namespace": "tenant-a", "name": "web", "uid": "1", "boundAt": "2026-03-01T00:00:00Z", "releasedAt": "2026-03-09T00:00:00Z"}


def test_the_present_claim_is_first() -> None:
    title, head, first, second = shown([host("node-0", claim=CLAIM, history=[PAST])], as_table=True).splitlines()
    assert title == "node-0 of class metal (Host uuid-node-0)"
    assert head.split() == ["TENANT", "WORKLOAD", "BOUND", "RELEASED"]
    assert first.split() == ["tenant-b", "db"]
    assert second.split() == ["tenant-a", "web", PAST["boundAt"], PAST["releasedAt"]]


def test_a_host_without_claims_says_so() -> None:
    assert shown([host("node-0")], as_table=True).splitlines()[1] == "no claims are recorded"


def test_json_has_every_field() -> None:
    [found] = json.loads(shown([host("node-0", history=[PAST])], as_table=False))
    assert found == {"host": "node-0", "claims": [PAST]}
