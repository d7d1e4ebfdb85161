"""Check when the end of a lease is announced, and which clock decides that."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.runtime.controller import Result
from controllers.workload import lease
from controllers.workload.lease import BELIEVED, SteadyClock, earlier, lease_conditions, warning_of

START = 1767225600.0
"""2026-01-01T00:00:00Z"""


class Clocks:
    """A wall clock and a monotonic clock that tests move."""

    def __init__(self) -> None:
        self.wall, self.steady = START, 5.0

    def time(self) -> float:
        return self.steady

    def call_later(self, delay: float, callback: Any) -> Any:
        raise AssertionError

    def pass_(self, seconds: float, jump: float = 0.0) -> None:
        self.wall, self.steady = self.wall + seconds + jump, self.steady + seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    made = Clocks()

    class Wall:
        @staticmethod
        def time() -> float:
            return made.wall

    monkeypatch.setattr(lease, "time", Wall)
    return made


def test_a_clock_that_jumps_ahead_is_not_believed_for_an_hour(clocks: Clocks) -> None:
    clock = SteadyClock(clocks)
    assert clock.now() == START
    clocks.pass_(100)
    assert clock.now() == START + 100
    clocks.pass_(100, jump=3e7)
    assert clock.now() == START + 200
    clocks.pass_(BELIEVED - 1)
    assert clock.now() == START + 200 + BELIEVED - 1
    clocks.pass_(1)
    assert clock.now() == clocks.wall
    clocks.pass_(10)
    assert clock.now() == clocks.wall


def test_a_jump_that_is_corrected_leaves_no_trace(clocks: Clocks) -> None:
    clock = SteadyClock(clocks)
    clock.now()
    clocks.pass_(10, jump=3e7)
    clock.now()
    clocks.pass_(10, jump=-3e7)
    assert clock.now() == START + 20
    clocks.pass_(BELIEVED, jump=60)
    assert clock.now() == START + 20 + BELIEVED


def test_a_clock_that_is_set_back_is_believed(clocks: Clocks) -> None:
    clock = SteadyClock(clocks)
    clock.now()
    clocks.pass_(10, jump=-500)
    assert clock.now() == START - 490
    clocks.pass_(10, jump=500)
    assert clock.now() == START + 20


def workload(conditions: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    ends = {"startTime": "2026-01-01T00:00:00Z", "expirationTimestamp": "2026-01-01T02:00:00Z"}
    status = {"lease": ends, "conditions": conditions or [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": "w", "generation": 3}, "spec": {}, "status": status}


def types(conditions: list[dict[str, Any]] | None) -> list[str]:
    return [item["type"] for item in conditions or ()]


@pytest.mark.parametrize(
    ("warning", "now", "found", "wait"),
    [
        (600, 0, [], 6600),
        (600, 6600, ["Ready", "LeaseExpiring"], 600),
        (86400, 0, [], 3600),
        (86400, 3600, ["Ready", "LeaseExpiring"], 3600),
        (0, 7199, [], 1),
        (0, 7200, ["Ready", "LeaseExpiring", "LeaseExpired"], 0),
        (600, 10**9, ["Ready", "LeaseExpiring", "LeaseExpired"], 0),
    ],
)
def test_the_end_is_announced_in_time(warning: int, now: float, found: list[str], wait: float) -> None:
    conditions, left = lease_conditions(workload(), warning, START + now)
    assert (types(conditions), left) == (found, wait)


def test_what_is_announced_is_taken_back_and_kept_in_its_place() -> None:
    conditions, _ = lease_conditions(workload(), 600, START + 7000)
    assert conditions is not None
    moved = [conditions[1], conditions[0], {"type": "Stalled", "status": "True"}]
    assert lease_conditions(workload(moved), 600, START + 7001) == (None, 199.0)
    taken_back, wait = lease_conditions(workload(moved), 600, START)
    assert (types(taken_back), wait) == (["Ready", "Stalled"], 6600.0)
    without = workload(moved)
    del without["status"]["lease"]
    assert (types(lease_conditions(without, 600, START)[0]), lease_conditions(without, 600, START)[1]) == (["Ready", "Stalled"], None)


def test_a_workload_without_a_lease_has_no_lease_conditions() -> None:
    assert lease_conditions({"metadata": {}, "spec": {}}, 600, START) == (None, None)


def test_terms() -> None:
    assert warning_of(None) == warning_of({"spec": {}}) == 86400
    assert warning_of({"spec": {"lease": {"warningSeconds": 0}}}) == 0
    assert earlier(Result(5.0), Result(3.0)) == earlier(None, Result(3.0)) == Result(3.0)
    assert earlier(Result(5.0), None) == earlier(Result(None), Result(5.0)) == Result(5.0)
    assert earlier(None, None) is None


def test_that_a_lease_has_expired_is_taken_back_until_the_server_says_it_again() -> None:
    """A restored backup may contain LeaseExpired of a lease that was extended after the backup."""
    declared, _ = lease_conditions(workload(), 600, START + 7200)
    taken_back, wait = lease_conditions(workload(declared), 600, START + 7300)
    assert (types(taken_back), wait) == (["Ready", "LeaseExpiring"], 0.0)
    assert types(lease_conditions(workload(taken_back), 600, START + 7301)[0])[-1] == "LeaseExpired"
    assert lease_conditions(workload(declared), 600, START + 7300, ours=True) == (None, 0.0), "a refused deletion is tried again"


def test_a_lease_that_got_more_time_says_why() -> None:
    graced = workload()
    graced["status"]["lease"]["graceSince"] = "2026-01-01T01:00:00Z"
    conditions, _ = lease_conditions(graced, 600, START + 7000)
    assert conditions is not None
    assert "restored until 2026-01-01T01:00:00Z, so the lease got more time" in conditions[-1]["message"]
