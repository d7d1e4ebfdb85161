"""Check how many hosts a class has."""

from __future__ import annotations

from controllers.workloadclass.status import HostCounts
from tests.unit.controllers.clusters import host


def test_hosts_are_counted_as_they_change() -> None:
    counts, dirty = HostCounts(), host("h2")
    dirty["status"]["dirtyFor"] = "n1"
    steps = [(None, host("h1")), (None, dirty), (None, host("h3", available=False, reason="Unhealthy"))]
    assert all(counts.update(old, new) for old, new in steps)
    assert counts.of("metal") == {"total": 3, "free": 2, "claimed": 0, "unavailable": 1, "unhealthy": 1, "dirty": 1, "reserved": 0}
    assert counts.update(host("h1"), host("h1", claim="w"))
    assert not counts.update(host("h1", claim="w"), host("h1", claim="other"))
    assert counts.of("metal") == {"total": 3, "free": 1, "claimed": 1, "unavailable": 1, "unhealthy": 1, "dirty": 1, "reserved": 0}
    for old in (host("h1", claim="w"), dirty, host("h3", available=False, reason="Unhealthy")):
        assert counts.update(old, None)
    assert set(counts.of("metal").values()) == {0}
    assert counts.of("unknown")["total"] == 0
