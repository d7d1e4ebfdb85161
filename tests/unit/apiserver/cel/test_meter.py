"""Check that work is charged before it is done, and that a thread lets others run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from apiserver.cel.meter import PER_CALL, TURN, Cancelled, Heavy, Meter, light, traversal, yielding


def test_a_limit_is_enforced_before_the_work() -> None:
    meter = Meter(lambda units: None, 100)
    meter.charge(100)
    with pytest.raises(Cancelled, match="operation cancelled: actual cost limit exceeded"):
        meter.charge(1)


def test_the_limit_itself_may_be_spent_in_one_step_or_in_several() -> None:
    at_once, stepwise = (Meter(lambda units: None, 1000) for _ in range(2))
    at_once.charge(1000)
    for units in (900, 100):
        stepwise.charge(units)
    for meter in (at_once, stepwise):
        with pytest.raises(Cancelled):
            meter.charge(1)


def test_the_last_step_is_no_longer_than_the_limit() -> None:
    meter = Meter(lambda units: None, 1000)
    meter.charge(900)
    with pytest.raises(Cancelled):
        meter.charge(101)


def test_all_units_but_the_last_get_the_pace() -> None:
    reported: list[int] = []
    meter = Meter(reported.append)
    for _ in range(10_000):
        meter.charge(1)
    assert 9_000 < sum(reported) <= meter.spent == 10_000
    assert len(reported) < 100


def test_the_event_loop_does_only_little() -> None:
    pace = light(1000)
    Meter(pace).charge(900)
    with pytest.raises(Heavy):
        Meter(pace).charge(400)


def test_a_thread_ends_when_it_is_stopped_or_late() -> None:
    stopped = threading.Event()
    pace = yielding(stopped, 60)
    pace(1)
    stopped.set()
    with pytest.raises(Cancelled, match="interrupted"):
        pace(1)
    with pytest.raises(Cancelled, match="interrupted"):
        yielding(threading.Event(), -1)(1)


def took(pace: Callable[[int], None], units: int) -> float:
    """Return the seconds that the pace takes for some work."""
    begun = time.monotonic()
    pace(units)
    return time.monotonic() - begun


def test_a_thread_lets_others_run_after_large_work_and_after_its_turn_and_not_in_between() -> None:
    pace = yielding(threading.Event(), 60)
    large, small = PER_CALL // 100 + 1, PER_CALL // 100
    assert min(took(pace, large) for _ in range(5)) >= TURN / 2
    assert min(took(pace, small) for _ in range(100)) < TURN / 2, "its next turn has begun"
    until = time.monotonic() + 2 * TURN
    while time.monotonic() < until:
        pass
    assert took(pace, small) >= TURN / 2
    assert min(took(pace, small) for _ in range(100)) < TURN / 2


def test_reading_costs_a_tenth_rounded_up() -> None:
    assert [traversal(size) for size in (0, 1, 10, 11, 100)] == [0, 1, 1, 2, 10]
