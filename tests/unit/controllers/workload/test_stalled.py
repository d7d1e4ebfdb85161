"""Check what ends a wait (Stalled), and what Ready repeats, because common tools read no other
condition."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from controllers.providers.base import Outcome
from controllers.runtime.conditions import condition, find_condition
from controllers.workload.reschedule import rescheduling_status
from controllers.workload.stalled import STALLING_REASONS, workload_conditions
from controllers.workload.status import bound_status, lost_status, releasing_status

if TYPE_CHECKING:
    from apiserver.client.objects import Object

NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:00:09Z"
DOCS = Path(__file__).parents[4] / "docs" / "troubles.md"
YES = Outcome(True, "Bound", "it has a host")


def workload(**status: Any) -> Object:
    image = {"url": "https://images.example.com/os.qcow2"}
    return {"metadata": {"name": "w", "namespace": "a", "generation": 3}, "spec": {"image": image}, "status": status}


def found(status: Object, type_: str) -> tuple[str, str, str] | None:
    one = find_condition(status["conditions"], type_)
    return (one["status"], one["reason"], one["message"]) if one is not None else None


@pytest.mark.parametrize("reason", sorted(STALLING_REASONS))
@pytest.mark.parametrize("type_", ["Bound", "Synchronized"])
def test_what_cannot_succeed_is_stalled_with_its_reason(type_: str, reason: str) -> None:
    no = Outcome(False, reason, "do this")
    bound, synchronized = (no, YES) if type_ == "Bound" else (YES, no)
    status = bound_status(workload(), bound, synchronized, None, empty=False, now=NOW)
    assert found(status, "Stalled") == ("True", reason, "do this")
    assert found(status, "Ready") == ("False", reason, "do this")
    stalled = find_condition(status["conditions"], "Stalled") or {}
    assert (stalled["observedGeneration"], stalled["lastTransitionTime"]) == (3, NOW)


@pytest.mark.parametrize(
    "reason", ["SourceUnavailable", "NoHostFits", "NoHosts", "HostNotFree", "SecretNotFound", "QuotaExceeded", "HostError"]
)
def test_a_workload_that_may_yet_succeed_is_not_stalled(reason: str) -> None:
    conditions = [condition("Bound", False, reason, "wait"), condition("Ready", False, reason, "wait")]
    assert find_condition(workload_conditions([], conditions, NOW), "Stalled") is None


def test_stalled_ends_with_its_cause_and_keeps_its_transition_time_until_then() -> None:
    wrong = [condition("Bound", False, "ClassNotFound", "no class a"), condition("Ready", False, "ClassNotFound", "no class a")]
    first = workload_conditions([], wrong, NOW)
    second = workload_conditions(first, [{**one, "message": "no class b"} for one in wrong], LATER)
    assert [(one["message"], one["lastTransitionTime"]) for one in second if one["type"] == "Stalled"] == [("no class b", NOW)]
    assert workload_conditions(second, [{**one, "message": "no class b"} for one in wrong], LATER) == second
    right = workload_conditions(second, [condition("Bound", True, "Bound", ""), condition("Ready", False, "Provisioning", "")], LATER)
    assert find_condition(right, "Stalled") is None


def test_a_ready_workload_is_not_stalled() -> None:
    conditions = [condition("Synchronized", False, "UpdateRefused", "kept"), condition("Ready", True, "Running", "")]
    assert find_condition(workload_conditions([], conditions, NOW), "Stalled") is None


def test_the_ends_of_a_workload() -> None:
    lost = lost_status(workload(), NOW)
    assert "Lost" in (found(lost, "Stalled") or ())
    released = releasing_status(workload(conditions=lost["conditions"]), "cleaning", NOW)
    assert found(released, "Stalled") is None


def test_a_host_that_is_given_up_for_another_one_ends_no_wait_and_ready_says_why() -> None:
    status = rescheduling_status(workload(), Outcome(False, "HostTaken", "somebody else has it"))
    assert found(status, "Stalled") is None
    assert found(status, "Ready") == found(status, "Bound")
    assert "HostTaken" in (found(status, "Ready") or ())


def test_the_documents_name_every_reason() -> None:
    text = DOCS.read_text()
    (listed,) = re.findall(r"These reasons stall:\n(.*?)\.\n", text, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", listed)) - {"Failed"} == STALLING_REASONS
