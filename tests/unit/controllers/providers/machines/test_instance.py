"""Check which of several machines of one slot is used."""

from __future__ import annotations

from apiserver.apis.names import WORKLOAD_UID
from controllers.providers.machines.instance import BOOTED, REMOVING, SURPLUS, Instance, newest_gone, oldest


def test_the_end_of_one_that_was_too_many_says_nothing_of_the_others() -> None:
    mine = {WORKLOAD_UID: "u"}
    replaced = Instance("a", "terminated", {**mine, REMOVING: "true"}, "2026-01-01")
    surplus = Instance("b", "terminated", {**mine, SURPLUS: "true"}, "2026-01-02")
    assert newest_gone([surplus, replaced], "u") == replaced
    assert newest_gone([surplus], "u") is None
    assert newest_gone([replaced], "another") is None


def test_of_several_machines_the_one_that_ran_stays_and_else_the_older_one() -> None:
    """Check that the answer does not depend on how often it is computed, or by which replica,
    because each looks at what is left."""
    early, late = Instance("b", "running", {}, "2026-01-01"), Instance("a", "running", {}, "2026-01-02")
    ran = Instance("c", "stopped", {BOOTED: "true"}, "2026-01-03")
    assert oldest([late, early]) == early
    assert oldest([late, early, ran]) == ran
    assert oldest([]) is None
