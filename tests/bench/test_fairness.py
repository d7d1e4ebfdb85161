"""Run the short form of the fairness benchmark: how fast the server answers one tenant while
another one requests as much as it can."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.bench import lifecycle
from tests.bench.fairness import GOAL, Fairness, fairness
from tests.bench.lifecycle import Lifecycle

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 3
ROUNDS = 6
"""The largest number of rounds.

Other work on the machine comes and goes, and makes a tail of GETs of its own."""


@pytest.mark.timeout(180)
def test_a_get_takes_less_than_five_times_as_long_beside_a_greedy_tenant(tmp_path: Path) -> None:
    rounds = asyncio.run(fairness(tmp_path / "server", objects=2_000, seconds=SECONDS, rounds=ROUNDS, until_met=True))
    print(*rounds, sep="\n")
    for found in rounds:
        assert set(found.answers) <= {"200", "201", "429"}
        assert sum(found.answers.values()) > 0
    assert rounds[-1].met, f"p99 is never below {GOAL:g} times the idle p99"


@pytest.mark.timeout(300)
def test_a_workload_runs_in_less_than_twice_the_time_beside_a_greedy_tenant(tmp_path: Path) -> None:
    found = asyncio.run(lifecycle.lifecycle(tmp_path, ROUNDS, until_met=True))
    print(found)
    assert set(found.answers) <= {"200", "201", "429"}
    assert found.ratio < lifecycle.GOAL


def test_the_summary_of_a_workloads_lifecycle() -> None:
    assert str(Lifecycle([2, 1], [3, 1.5], Counter())) == "Running after: idle 1.00 2.00 s, beside 1.50 3.00 s; ratio 1.50 (goal < 2)"


def test_percentiles_and_their_summary() -> None:
    idle = [float(number) for number in range(1, 101)]
    found = Fairness(idle, [2 * number for number in idle], {"200": 7}, idle, [3 * number for number in idle])
    assert (found.ratio(50), found.ratio(99)) == (2.0, 2.0)
    assert found.cpu_ratio(90) == 3.0
    assert "p99 2.0 (goal < 5)" in str(found)
    assert "greedy: 7 × 200" in str(found)
