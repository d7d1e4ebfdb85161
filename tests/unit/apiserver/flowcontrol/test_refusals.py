"""Check what the log says about refused requests, and that it stays short."""

from __future__ import annotations

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
    assert named.endswith(", and of 4 more")
    assert len(caplog.records) == 2


def test_a_flood_of_names_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    for number in range(3 * COUNTED):
        refusals.count("workloads", f"user-{number}")
    now = EVERY_SECONDS
    refusals.count("workloads", "one more")
    assert f"and of {COUNTED - 5} more" in caplog.records[-1].getMessage()
