"""Check which members are created, deleted and updated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controllers import kinds
from controllers.workloadset import plan
from tests.unit.controllers.workloadset.sets import NOW, OTHER, Object, changed, member, rolling, set_

if TYPE_CHECKING:
    from collections.abc import Sequence


def sorted_members(of: Object, found: Sequence[Object], others: dict[int, Object] | None = None) -> plan.Members:
    return plan.sort_members(of, found, others or {})


def updates(of: Object, found: Sequence[Object]) -> list[str]:
    return [one["metadata"]["name"] for one in plan.to_update(of, sorted_members(of, found), NOW)]


def test_members_by_their_state() -> None:
    of = set_(4)
    leaving = member(of, 1)
    leaving["metadata"]["deletionTimestamp"] = "now"
    foreign = {"metadata": {"name": "db-3", "namespace": "a"}}
    found = sorted_members(of, [member(of, 7), member(of, 5), member(of, 0), leaving], {3: foreign})
    assert list(found.current) == [0]
    assert list(found.leaving) == [1]
    assert found.missing == [2], "no name is used twice at the same time"
    assert [one["metadata"]["name"] for one in found.excess] == ["db-7", "db-5"]
    assert found.taken == ["db-3"]


def test_a_foreign_workload_that_is_being_deleted_is_waited_for() -> None:
    of = set_(1)
    found = sorted_members(of, [], {0: {"metadata": {"name": "db-0", "deletionTimestamp": "now"}}})
    assert (found.taken, found.missing, list(found.leaving)) == ([], [], [0])


def test_without_consent_what_runs_is_kept() -> None:
    old = set_()
    new = changed(old, image=OTHER)
    assert updates(new, [member(old, number) for number in range(3)]) == []


@pytest.mark.parametrize("consents", [True, False])
def test_where_nothing_is_installed_a_change_is_made_at_once(consents: bool) -> None:
    old = rolling() if consents else set_()
    new = changed(old, image=OTHER)
    found = [member(old, 0, phase="Pending"), member(old, 1, phase="Provisioning"), member(old, 2, phase="Pending")]
    assert updates(new, found) == ["db-2", "db-1", "db-0"]


def test_one_after_the_other_the_highest_first() -> None:
    old = rolling()
    new = changed(old, image=OTHER)
    assert updates(new, [member(old, number) for number in range(3)]) == ["db-2"]
    busy = member(new, 2, phase="Provisioning")
    assert updates(new, [member(old, 0), member(old, 1), busy]) == []
    assert updates(new, [member(old, 0), member(old, 1), member(new, 2)]) == ["db-1"]
    assert updates(new, [member(new, number) for number in range(3)]) == []


def test_a_member_that_is_being_emptied_goes_on_and_counts() -> None:
    old = rolling()
    new = changed(old, image=OTHER)
    between = member(old, 1)
    del between["metadata"]["labels"][kinds.TEMPLATE_REVISION]
    assert updates(new, [member(old, 0), between, member(old, 2)]) == ["db-1"]
    assert updates(changed(set_(), image=OTHER), [member(old, 0), between, member(old, 2)]) == ["db-1"], "also if the consent ends"


def test_a_failure_stops_the_update_and_the_former_template_repairs_it() -> None:
    old = rolling()
    new = changed(old, image=OTHER)
    failed = member(new, 2, phase="Failed")
    assert updates(new, [member(old, 0), member(old, 1), failed]) == []
    assert updates(old, [member(old, 0), member(old, 1), failed]) == ["db-2"]


def test_a_member_that_ran_and_broke_is_updated_before_one_that_runs() -> None:
    old = rolling()
    new = changed(old, image=OTHER)
    broken = member(old, 0)
    broken["status"]["conditions"][1]["status"] = "False"
    assert updates(new, [broken, member(old, 1), member(old, 2)]) == ["db-0"]
    wide = changed(rolling(most=2), image=OTHER)
    assert updates(wide, [broken, member(old, 1), member(old, 2)]) == ["db-0", "db-2"], "one is broken, and one more may be"


def test_max_unavailable_counts_missing_members() -> None:
    old = rolling(4, most=2)
    new = changed(old, image=OTHER)
    assert updates(new, [member(old, number) for number in range(4)]) == ["db-3", "db-2"]
    assert updates(new, [member(old, number) for number in range(3)]) == ["db-2"]
    assert updates(new, [member(old, number) for number in range(2)]) == []


def test_a_member_is_available_after_min_ready_seconds() -> None:
    old = rolling(minReadySeconds=60)
    new = changed(old, image=OTHER)
    young = member(new, 2, since="2026-01-01T11:59:30Z")
    assert not plan.is_available(new, young, NOW)
    assert updates(new, [member(old, 0), member(old, 1), young]) == []
    assert updates(new, [member(old, 0), member(old, 1), member(new, 2, since="2026-01-01T11:58:59Z")]) == ["db-1"]


def test_machines_that_are_to_be_off_are_updated_one_after_the_other_as_well() -> None:
    old = rolling(template={"online": False})
    new = changed(old, image=OTHER)
    off = [member(old, number, phase="Stopped", reason="PoweredOff") for number in range(3)]
    assert updates(new, off) == ["db-2"]
    assert updates(new, [*off[:2], member(new, 2, phase="Stopped", reason="PoweredOff")]) == ["db-1"]


def test_a_member_whose_host_was_taken_back_is_replaced() -> None:
    of = set_()
    gone = member(of, 1, phase="Lost")
    del gone["status"]["host"]
    found = sorted_members(of, [member(of, 0), gone, member(of, 2, phase="Lost")])
    assert [one["metadata"]["name"] for one in plan.lost(found)] == ["db-1"], "one that has its host still loses nothing"
