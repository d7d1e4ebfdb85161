"""Check what the log says about refused requests, and that it stays short."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from apiserver.flowcontrol.refusals import COUNTED, EVERY_SECONDS, Refusals

if TYPE_CHECKING:
    import pytest


def test_the_flows_with_the_most_refusals_are_named_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    for _ in range(100):
        refusals.count("workloads", "tenant-a")
    assert [record.getMessage() for record in caplog.records] == ["flow control refused requests: tenant-a (workloads): 1"]
    for number in range(7):
        refusals.count("workloads", f"other-{number}")
    refusals.count("catch-all", "")
    refusals.count("catch-all", "")
    now = EVERY_SECONDS
    refusals.count("catch-all", "")
    named = caplog.records[-1].getMessage()
    assert named.startswith(
        "flow control refused requests: tenant-a (workloads): 99, anonymous users (catch-all): 3, other-0 (workloads): 1"
    )
    assert named.endswith(", and 4 of others")
    assert len(caplog.records) == 2


def test_a_flood_of_user_names_is_bounded_and_earlier_users_stay_counted(caplog: pytest.LogCaptureFixture) -> None:
    now, sent = 0.0, 0
    refusals = Refusals(lambda: now)
    refusals.count("workloads", "first")
    for number in range(20 * COUNTED):
        refusals.count("workloads", f"user-{number}")
        if number > COUNTED and number % 100 == 0:
            refusals.count("workloads", "tenant-a")
            sent += 1
    now = EVERY_SECONDS
    refusals.count("workloads", "one more")
    said = re.fullmatch(r"flow control refused requests: tenant-a \(workloads\): (\d+).*, and (\d+) of others", caplog.messages[-1])
    assert said is not None, caplog.messages[-1]
    known, others = int(said[1]), int(said[2])
    assert sent * 3 / 4 < known <= sent
    assert 20 * COUNTED <= known + others <= 20 * COUNTED + sent + 1


def test_the_memory_and_time_of_a_flood_are_bounded() -> None:
    """Count the refusals that are kept while no two are of one flow."""
    refusals = Refusals(lambda: 0.0)
    for number in range(3 * COUNTED):
        refusals.count("workloads", f"user-{number}")
        assert len(refusals) <= COUNTED
