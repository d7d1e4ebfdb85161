"""Check what Reservations report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controllers.reservation.status import count, is_over, obstacle, status_of
from controllers.runtime.conditions import find_condition
from tests.unit.controllers.clusters import workload_class
from tests.unit.controllers.reservation.reservations import active, machine, reservation

Object = dict[str, Any]

MINE = active()
NOW = datetime(2026, 1, 2, tzinfo=UTC)
NAMESPACE: Object = {"metadata": {"name": "a", "uid": "uid-a"}}
EXPIRED = {"type": "Expired", "status": "True", "reason": "Expired", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}


def found(one: Object, class_: Object | None = None, namespace: Object | None = NAMESPACE) -> str | None:
    reason = obstacle(one, NOW, {"metal": class_ or workload_class()}.get, namespace)
    return reason[0] if reason is not None else None


def condition(status: Object, type_: str) -> tuple[str, str]:
    item = find_condition(status["conditions"], type_)
    return (item["status"], item["reason"]) if item is not None else ("", "")


def test_why_no_hosts_are_kept() -> None:
    assert found(reservation()) is None
    assert found(reservation(startTime="2026-01-02T00:00:01Z")) == "NotStarted"
    assert found(reservation(startTime="2026-01-02T00:00:00Z")) is None
    assert found(reservation(className="other")) == "ClassNotFound"
    assert found(reservation(), workload_class(allowedNamespaces={"names": ["b"]})) == "NamespaceNotAllowed"
    assert found(reservation(), namespace=None) == "NamespaceNotAllowed"
    terms = [{"key": f"k{number}", "operator": "Exists"} for number in range(100)]
    assert found(reservation(hostSelector={"matchExpressions": terms})) == "TooComplex"


def test_the_end_needs_the_servers_word_and_can_be_moved() -> None:
    late = reservation(endTime="2026-01-01T00:00:00Z")
    assert found(late) is None, "the server has not said yet that its time has come"
    late["status"] = {"conditions": [EXPIRED]}
    assert is_over(late, NOW)
    assert found(late) == "Expired"
    late["spec"]["endTime"] = "2026-02-01T00:00:00Z"
    assert found(late) is None


def test_hosts_are_counted_by_what_can_be_done_with_them() -> None:
    hosts = [
        machine("x", holder="a", mark=MINE),
        machine("y", mark=MINE),
        machine("z", mark=MINE, available=False, reason="Releasing"),
    ]
    assert count(hosts) == (1, 1, 1)
    assert count([machine("others", holder="b", mark=MINE)]) == (0, 0, 1), "it is being given back"


def test_missing_hosts_are_reported_with_those_that_are_being_released() -> None:
    hosts = [
        machine("x", holder="a", mark=MINE),
        machine("y", mark=MINE),
        machine("z", mark=MINE, available=False, reason="Releasing"),
    ]
    status = status_of(reservation(hosts=4), hosts, None)
    assert [status[field] for field in ("reserved", "used", "available", "missing")] == [2, 1, 1, 2]
    assert condition(status, "Ready") == ("False", "Short")
    message = (find_condition(status["conditions"], "Ready") or {})["message"]
    assert message.startswith("2 of 4 hosts are missing")
    assert "1 are not free yet" in message
    assert condition(status, "Expired") == ("False", "Lasts")
    assert condition(status, "Stalled") == ("", ""), "a free host may come"
    full = status_of(reservation(hosts=2), hosts, None)
    assert condition(full, "Ready") == ("True", "Fulfilled")


def test_what_only_a_change_resolves_is_stalled_until_it_is_resolved() -> None:
    one = reservation()
    status = status_of(one, [], ("ClassNotFound", "there is none"))
    assert (condition(status, "Stalled"), status["missing"]) == (("True", "ClassNotFound"), 0)
    assert condition(status_of({**one, "status": status}, [], None), "Stalled") == ("", "")
    ended = status_of(one, [], ("Expired", "it ended"))
    assert (condition(ended, "Expired"), condition(ended, "Ready")) == (("True", "Ended"), ("False", "Expired"))
