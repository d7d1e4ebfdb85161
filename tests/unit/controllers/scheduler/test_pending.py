"""Cover the Workloads that wait for a host."""

from __future__ import annotations

from controllers.scheduler.pending import Pending


def test_workloads_that_wait_are_found_by_class() -> None:
    pending = Pending()
    pending.add("a/1")
    pending.add("a/2", "metal")
    pending.add("a/1", "metal")
    pending.add("a/3", "virtual")
    assert (pending.of("metal"), pending.of("virtual"), pending.of("")) == (["a/2", "a/1"], ["a/3"], [])
    pending.remove("a/2")
    pending.remove("a/2")
    assert ("a/2" in pending, pending.of("metal"), pending.all()) == (False, ["a/1"], ["a/1", "a/3"])
