"""Check what `metal3-workloads fleet` prints."""

from __future__ import annotations

import json

from controllers.cli.fleet import shown
from tests.unit.controllers.test_fleet import FLEET


def test_a_table_has_classes_and_hosts() -> None:
    text = shown([], FLEET, as_table=True)
    assert "UNAVAILABLE BECAUSE" in text
    assert "tenant-b/db" in text


def test_json_has_the_same() -> None:
    found = json.loads(shown([], FLEET, as_table=False))
    assert sorted(found) == ["classes", "hosts"]
    assert len(found["hosts"]) == len(FLEET)
