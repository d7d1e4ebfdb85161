"""The short form of the fairness benchmark. The bound leaves room for a busy machine; without flow control the ratio is beyond 100."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.bench.fairness import Fairness, fairness

if TYPE_CHECKING:
    from pathlib import Path

BOUND = 40.0


@pytest.mark.timeout(120)
def test_a_greedy_tenant_does_not_make_another_wait_for_all_of_its_requests(tmp_path: Path) -> None:
    found = asyncio.run(fairness(tmp_path / "server", objects=2_000, seconds=4))
    print(found)
    assert set(found.answers) <= {"200", "201", "429"}
    assert sum(found.answers.values()) > 0
    assert found.ratio(50) < BOUND


def test_percentiles_and_what_is_said_of_them() -> None:
    found = Fairness([float(number) for number in range(1, 101)], [2.0 * number for number in range(1, 101)], {"200": 7})
    assert (found.ratio(50), found.ratio(99)) == (2.0, 2.0)
    assert "p99 2.0 (goal < 5)" in str(found)
    assert "greedy: 7 × 200" in str(found)
