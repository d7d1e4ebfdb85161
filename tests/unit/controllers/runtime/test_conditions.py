"""Cover conditions, and when they changed."""

from __future__ import annotations

from controllers.runtime.conditions import condition, find_condition, is_true, set_conditions


def test_transition_times_change_with_the_status_only() -> None:
    first = set_conditions(None, [condition("A", False, "R", "m", generation=1)], "t1")
    same = set_conditions(first, [condition("A", False, "Other", "n", generation=2)], "t2")
    assert same == [{**condition("A", False, "Other", "n", generation=2), "lastTransitionTime": "t1"}]
    turned = set_conditions(same, [condition("A", True, "R", "m"), condition("B", None, "R", "m")], "t3")
    assert (find_condition(turned, "A") or {})["lastTransitionTime"] == "t3"
    assert is_true(turned, "A")
    assert not is_true(turned, "B")
    assert (find_condition(turned, "B") or {})["status"] == "Unknown"
