"""Check that work is charged before it is done, and that a thread lets others run."""

from __future__ import annotations

import threading

import pytest

from apiserver.cel.meter import Cancelled, Heavy, Meter, light, traversal, yielding


def test_a_limit_is_enforced_before_the_work() -> None:
    meter = Meter(lambda units: None, 100)
    meter.charge(100)
    with pytest.raises(Cancelled, match="operation cancelled: actual cost limit exceeded"):
        meter.charge(1)


def test_all_units_but_the_last_get_the_pace() -> None:
    told: list[int] = []
    meter = Meter(told.append)
    for _ in range(10_000):
        meter.charge(1)
    assert 9_000 < sum(told) <= meter.spent == 10_000
    assert len(told) < 100


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


def test_reading_costs_a_tenth_rounded_up() -> None:
    assert [traversal(size) for size in (0, 1, 10, 11, 100)] == [0, 1, 1, 2, 10]
