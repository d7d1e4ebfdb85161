"""Check what a set says about itself, in kstatus's terms as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controllers.runtime.conditions import find_condition
from controllers.workloadset.plan import sort_members
from controllers.workloadset.status import Finding, set_status
from tests.unit.controllers.workloadset.sets import NOW, OTHER, Object, changed, member, rolling, set_

if TYPE_CHECKING:
    from collections.abc import Sequence


def status(of: Object, found: Sequence[Object], refused: Finding | None = None, others: dict[int, Object] | None = None) -> Object:
    return set_status(of, sort_members(of, found, others or {}), refused, NOW)


def condition_of(found: Object, type_: str) -> tuple[str, str]:
    one = find_condition(found["conditions"], type_)
    return (one["status"], one["reason"]) if one is not None else ("", "")


def numbers(found: Object) -> tuple[Any, ...]:
    return tuple(found[f"{kind}eplicas"] for kind in ("r", "readyR", "availableR", "updatedR"))


def test_all_is_well() -> None:
    of = set_()
    found = status(of, [member(of, number) for number in range(3)])
    assert numbers(found) == (3, 3, 3, 3)
    assert found["observedGeneration"] == 2
    assert condition_of(found, "Ready") == ("True", "Ready")
    assert condition_of(found, "Progressing") == ("False", "Complete")
    assert condition_of(found, "Available") == ("True", "MinimumAvailable")
    assert condition_of(found, "Stalled") == ("", "")


def test_a_set_without_members_is_ready() -> None:
    assert condition_of(status(set_(0), []), "Ready") == ("True", "Ready")


def test_scaling_is_progress() -> None:
    of = set_()
    found = status(of, [member(of, 0)])
    assert numbers(found) == (1, 1, 1, 1)
    assert condition_of(found, "Ready") == ("False", "Scaling")
    assert condition_of(found, "Progressing") == ("True", "Scaling")
    assert condition_of(found, "Available") == ("False", "TooFewAvailable")
    assert condition_of(status(set_(2), [member(of, number) for number in range(3)]), "Ready") == ("False", "Scaling")


def test_the_least_is_enough_to_be_available() -> None:
    of = set_(minAvailable=2)
    found = status(of, [member(of, 0), member(of, 1), member(of, 2, phase="Provisioning")])
    assert condition_of(found, "Available") == ("True", "MinimumAvailable")
    assert condition_of(found, "Ready") == ("False", "MemberNotReady")


def test_a_member_that_only_a_change_helps_stalls_the_set() -> None:
    of = set_(1)
    one = member(of, 0, phase="Pending", reason="NoHostFits")
    found = status(of, [one])
    ready = find_condition(found["conditions"], "Ready")
    assert ready is not None
    assert "db-0: NoHostFits" in ready["message"]
    assert condition_of(found, "Stalled") == ("", "")
    one["status"]["conditions"].append({"type": "Stalled", "status": "True"})
    assert condition_of(status(of, [one]), "Stalled") == ("True", "MemberNotReady")


def test_members_of_an_earlier_template_are_reported_without_consent_and_updated_with_it() -> None:
    old = set_()
    running = [member(old, number) for number in range(3)]
    found = status(changed(old, image=OTHER), running)
    assert numbers(found) == (3, 3, 3, 0)
    assert condition_of(found, "Ready") == (*condition_of(found, "Stalled")[:0], "False", "UpdateRefused")
    assert condition_of(found, "Stalled") == ("True", "UpdateRefused")
    of = changed(rolling(), image=OTHER)
    found = status(of, [*running[:2], member(of, 2, phase="Provisioning", reason="Provisioning")])
    ready = find_condition(found["conditions"], "Ready")
    assert ready is not None
    assert (ready["reason"], condition_of(found, "Stalled")) == ("Updating", ("", ""))
    assert "1 of 3" in ready["message"]
    assert "db-2: Provisioning" in ready["message"]


def test_a_refused_creation_is_reported_in_the_servers_words() -> None:
    found = status(set_(), [], Finding("CreationRefused", "Workload db-0 was refused: exceeded quota"))
    assert condition_of(found, "Ready") == ("False", "CreationRefused")
    assert condition_of(found, "Stalled") == ("", ""), "a quota may have room later"


def test_a_name_that_is_taken() -> None:
    found = status(set_(1), [], others={0: {"metadata": {"name": "db-0"}}})
    assert condition_of(found, "Stalled") == ("True", "NameTaken")


def test_a_paused_set() -> None:
    assert condition_of(status(set_(1, paused=True), []), "Ready") == ("False", "Paused")


def test_times_change_only_with_the_status() -> None:
    of = set_(1)
    first = status(of, [member(of, 0)])
    before = [{**one, "lastTransitionTime": "2020-01-01T00:00:00Z"} for one in first["conditions"]]
    again = status({**of, "status": {"conditions": before}}, [member(of, 0)])
    assert again["conditions"] == before
