"""Check how a gang's members are counted."""

from __future__ import annotations

from typing import Any

from controllers.gangcounts import GangCounts, gang_counts


def member(least: int, *, host: bool = False, leaving: bool = False) -> dict[str, Any]:
    metadata = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}
    status = {"host": {"name": "h"}} if host else {}
    return {"metadata": metadata, "spec": {"gang": {"name": "g", "minAvailable": least}}, "status": status}


def test_members_that_leave_do_not_count_and_the_largest_number_does() -> None:
    members = [member(2), member(3, host=True), member(9, host=True, leaving=True)]
    assert gang_counts(members) == GangCounts(members=2, hosts=1, needed=3)
    assert gang_counts(members).missing == 2


def test_a_gang_that_has_enough_lacks_none() -> None:
    assert gang_counts([member(1, host=True), member(1, host=True), member(1)]).missing == 0
    assert gang_counts([]) == GangCounts(0, 0, 0)
