"""The short form of the fairness benchmark: beside a greedy tenant another one waits for a step of
it, not for all that it asks.

Without flow control both tenants' requests would take the same time.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.bench.fairness import CONNECTIONS, Fairness, fairness, percentile

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 4
SHARE = 4
"""How many times longer than the light tenant's GETs the greedy tenant's requests take at least. On
a quiet machine it is 13."""


@pytest.mark.timeout(120)
def test_a_greedy_tenant_does_not_make_another_wait_for_all_of_its_requests(tmp_path: Path) -> None:
    found = asyncio.run(fairness(tmp_path / "server", objects=2_000, seconds=SECONDS))
    print(found)
    assert set(found.answers) <= {"200", "201", "429"}
    assert sum(found.answers.values()) > 0
    greedy = CONNECTIONS * SECONDS * 1000 / sum(found.answers.values())
    assert percentile(found.beside, 50) * SHARE < greedy


def test_percentiles_and_what_is_said_of_them() -> None:
    found = Fairness([float(number) for number in range(1, 101)], [2.0 * number for number in range(1, 101)], {"200": 7})
    assert (found.ratio(50), found.ratio(99)) == (2.0, 2.0)
    assert "p99 2.0 (goal < 5)" in str(found)
    assert "greedy: 7 × 200" in str(found)
