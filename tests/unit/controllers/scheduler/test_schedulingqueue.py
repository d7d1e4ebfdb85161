"""Cover the Workloads that wait for a host, and those that were just bound."""

from __future__ import annotations

import pytest

from controllers.scheduler.fit import Requirements
from controllers.scheduler.schedulingqueue import (
    ASSUMED_FOR,
    BURST,
    LOOK_AT_QUOTA,
    LOOKS_PER_SECOND,
    SHARE,
    TRIES_PER_SECOND,
    AssumedBindings,
    CPUBudget,
    ForbiddenBindings,
    FullQuotas,
    PendingWorkloads,
    PriorityQueues,
)
from tests.unit.controllers.fakeclock import FakeClock


def test_workloads_that_wait_are_found_by_class() -> None:
    pending = PendingWorkloads()
    pending.add("a/1")
    pending.add("a/2", "metal")
    pending.add("a/1", "metal")
    pending.add("a/3", "virtual")
    assert (pending.of("metal"), pending.of("virtual"), pending.of("")) == (["a/2", "a/1"], ["a/3"], [])
    pending.remove("a/2")
    pending.remove("a/2")
    assert ("a/2" in pending, pending.of("metal"), pending.all()) == (False, ["a/1"], ["a/1", "a/3"])


def test_a_workload_that_was_just_bound_is_not_bound_again() -> None:
    clock = FakeClock()
    bound = AssumedBindings(clock)
    assert bound.seconds("a/1", "u") == 0
    bound.assume("a/1", "u")
    clock.advance(1)
    assert bound.seconds("a/1", "u") == ASSUMED_FOR - 1
    bound.forget("a/1")
    assert bound.seconds("a/1", "u") == 0, "its event has arrived"


def test_the_assumption_ends_with_time_and_with_the_workload() -> None:
    clock = FakeClock()
    bound = AssumedBindings(clock)
    bound.assume("a/1", "u")
    assert bound.seconds("a/1", "another") == 0, "it was created again"
    bound.assume("a/1", "u")
    clock.advance(ASSUMED_FOR)
    assert bound.seconds("a/1", "u") == 0, "the event was lost"


def test_the_turn_is_of_the_highest_priority_in_the_group() -> None:
    turns, group, other = PriorityQueues(), ("a", "metal"), ("b", "metal")
    for key, priority in (("a/low", 1), ("a/high", 3), ("a/too", 3)):
        turns.add(key, group, priority)
    assert [turns.waits(group, priority) for priority in (1, 2, 3, 4)] == [True, True, False, False]
    assert not turns.waits(other, -9), "namespaces do not wait for each other"
    turns.remove("a/high")
    assert turns.waits(group, 1)
    turns.remove("a/too")
    assert not turns.waits(group, 1)
    turns.add("a/low", group, 5)
    assert turns.waits(group, 4)
    for key in ("a/low", "a/low", "a/unknown"):
        turns.remove(key)
    assert not turns.waits(group, -9)
    assert not turns._keys
    assert not turns._heaps


def test_the_more_workloads_a_quota_refuses_the_less_often_each_is_tried() -> None:
    clock = FakeClock()
    full = FullQuotas(clock)
    full.add("a/1", "full")
    assert (full.refusal("a/1"), full.seconds("a/1")) == (None, LOOK_AT_QUOTA), "a single one is tried whenever it is woken"
    many = int(10 * LOOK_AT_QUOTA * TRIES_PER_SECOND)
    for number in range(many):
        full.add(f"b/{number}", "full")
    last = f"b/{many - 1}"
    assert (full.refusal(last), full.seconds(last)) == ("full", 10 * LOOK_AT_QUOTA)
    assert (full.refusal("a/1"), full.refusal("b/new")) == (None, None)
    clock.advance(10 * LOOK_AT_QUOTA)
    assert full.refusal(last) is None
    full.add(last, "full")
    for number in range(many):
        full.forget(f"b/{number}")
    assert (full.refusal(last), full.seconds(last)) == (None, 0.0)
    full.add(last, "full")
    assert full.seconds(last) == LOOK_AT_QUOTA


def test_the_more_wait_for_a_higher_priority_the_less_often_each_asks() -> None:
    turns, group = PriorityQueues(), ("a", "metal")
    for number in range(LOOKS_PER_SECOND):
        turns.add(f"a/{number}", group, 0)
        turns.add(f"a/{number}", group, 0)
    assert (turns.seconds(group), turns.seconds(("b", "metal"))) == (1.0, 0.0)
    for number in range(LOOKS_PER_SECOND):
        turns.remove(f"a/{number}")
    assert turns.seconds(group) == 0.0
    assert not turns._sizes


def test_a_forbidden_binding_is_tried_with_other_hosts_and_then_later() -> None:
    clock, want = FakeClock(), Requirements("uid", "seed")
    forbidden = ForbiddenBindings(clock, 2)
    assert (forbidden.refusal("a/1"), forbidden.seconds("a/1"), forbidden.another("a/1", want)) == (None, 0.0, want)
    assert not forbidden.add("a/1", "no")
    assert forbidden.refusal("a/1") is None
    other = forbidden.another("a/1", want)
    assert forbidden.add("a/1", "no")
    assert (forbidden.refusal("a/1"), forbidden.seconds("a/1")) == ("no", LOOK_AT_QUOTA)
    assert len({want.seed, other.seed, forbidden.another("a/1", want).seed}) == 3
    clock.advance(LOOK_AT_QUOTA)
    assert forbidden.refusal("a/1") is None
    forbidden.forget("a/1")
    assert forbidden.another("a/1", want) == want


def test_the_more_bindings_of_a_namespace_are_forbidden_the_less_often_each_is_tried() -> None:
    clock, at_once, number = FakeClock(), 5, 1000
    forbidden = ForbiddenBindings(clock, at_once)
    for key in [f"a/{index}" for index in range(number)] * at_once:
        forbidden.add(key, "no")
    assert number * at_once / forbidden.seconds("a/0") <= TRIES_PER_SECOND
    for _ in range(at_once):
        forbidden.add("b/0", "no")
    assert forbidden.seconds("b/0") == LOOK_AT_QUOTA
    for index in range(number):
        forbidden.forget(f"a/{index}")
    assert list(forbidden._count) == ["b"]


def test_looks_of_a_namespace_take_a_share_of_the_time() -> None:
    clock = FakeClock()
    budget = CPUBudget(clock)
    budget.add("a", BURST)
    assert (budget.seconds("a"), budget.seconds("b")) == (0.0, 0.0)
    budget.add("a", SHARE)
    assert budget.seconds("a") == pytest.approx(1.0)
    clock.advance(1.0)
    assert budget.seconds("a") == pytest.approx(0.0)
    clock.advance(BURST / SHARE)
    assert budget.seconds("a") == 0.0
    assert not budget._debts, "it is forgotten"


def test_a_look_within_a_look_counts_once() -> None:
    budget = CPUBudget(FakeClock())
    with budget.of("a"):
        with budget.of("a"):
            sum(range(1_000_000))
        inner = budget._debt("a")
    assert (inner, budget._debt("a") > 0) == (0.0, True)
