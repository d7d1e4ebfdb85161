"""Check when leases end: as the Workload says, else as its class says, never later than the class's
maximum, and never earlier than stored."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry.claims.lease import changed, early, expires, new_lease, problems, shortened, with_grace

START, NOW = "2026-01-31T23:59:30Z", "2026-02-01T00:01:00Z"
MINUTE = "2026-02-01T00:00:30Z"
RULES = {"defaultDurationSeconds": 60, "maxDurationSeconds": 3600}
HOUR = "2026-02-01T00:59:30Z"


def asking(seconds: int | None, **spec: Any) -> dict[str, Any]:
    return {**({"lease": {"durationSeconds": seconds}} if seconds else {}), "className": "metal", **spec}


@pytest.mark.parametrize(
    ("seconds", "rules", "adopted", "end"),
    [
        (None, {}, False, None),
        (None, {"warningSeconds": 5}, False, None),
        (None, RULES, False, MINUTE),
        (None, {"maxDurationSeconds": 3600}, False, HOUR),
        (None, {"defaultDurationSeconds": 9999, "maxDurationSeconds": 60}, False, MINUTE),
        (60, {}, False, MINUTE),
        (9999, RULES, False, HOUR),
        (None, RULES, True, None),
        (60, RULES, True, MINUTE),
    ],
)
def test_a_lease_begins(seconds: int | None, rules: dict[str, int], adopted: bool, end: str | None) -> None:
    made = new_lease(asking(seconds), rules, START, adopted=adopted)
    assert made == ({"startTime": START, "expirationTimestamp": end} if end else None)


def test_a_change_moves_the_end_and_not_the_start() -> None:
    status = {"lease": {"startTime": START, "expirationTimestamp": MINUTE}}
    assert changed(status, asking(3600), RULES, NOW) == {"startTime": START, "expirationTimestamp": HOUR}
    assert changed(status, asking(9999), RULES, NOW) == {"startTime": START, "expirationTimestamp": HOUR}
    assert changed({}, asking(60), {}, START) == {"startTime": START, "expirationTimestamp": MINUTE}
    assert changed(status, asking(None), RULES, NOW) == status["lease"]
    assert changed(status, asking(None), {}, NOW) is None
    assert changed({}, asking(None), RULES, NOW) is None


def workload(seconds: int | None, *, lease: bool = True, **spec: Any) -> dict[str, Any]:
    status = {"lease": {"startTime": START, "expirationTimestamp": MINUTE}} if lease else {}
    return {"spec": asking(seconds, **spec), "status": status}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (None, workload(3601), "allows at most 3600 seconds"),
        (None, workload(3600), None),
        (workload(60), workload(3601), "allows at most 3600 seconds"),
        (workload(9999), workload(9999), None),
        (workload(9999, className="other"), workload(9999), "allows at most 3600 seconds"),
        (workload(3600), workload(90), "would be over already"),
        (workload(3600), workload(91), None),
        (workload(3600), workload(None), None),
        (workload(None, lease=False), workload(1), None),
    ],
)
def test_a_length_that_cannot_be(old: Any, new: Any, words: str | None) -> None:
    causes = problems(old, new, RULES, NOW)
    assert [words in item["message"] for item in causes if words] == ([True] if words else [])
    assert bool(causes) == bool(words)


@pytest.mark.parametrize(
    ("wanted", "end"),
    [(30, "2026-02-01T00:00:00Z"), (59, "2026-02-01T00:00:29Z"), (60, None), (3600, None), (None, None), (-1, None), ("30", None)],
)
def test_a_shorter_lease_is_warned_of(wanted: Any, end: str | None) -> None:
    warning = shortened(workload(60), {"lease": {"durationSeconds": wanted}})
    assert (warning or "").startswith(f"spec.lease: the lease ends at {end} instead of {MINUTE}") is (end is not None)
    assert (warning is None) is (end is None)


def test_a_lease_that_has_got_more_time_is_not_shortened_by_another_change() -> None:
    assert shortened(workload(30), {"lease": {"durationSeconds": 30}, "online": False}) is None


@pytest.mark.parametrize("spec", [{}, {"lease": None}, {"lease": []}, {"lease": {}}, None])
def test_what_names_no_length_shortens_no_lease(spec: Any) -> None:
    assert shortened(workload(120), spec) is None
    assert shortened(workload(None, lease=False), {"lease": {"durationSeconds": 1}}) is None


def expired(*, said: bool = True, end: str | None = MINUTE) -> dict[str, Any]:
    conditions = [{"type": "LeaseExpired", "status": "True"}] if said else []
    return {"status": {"conditions": conditions, **({"lease": {"startTime": START, "expirationTimestamp": end}} if end else {})}}


def test_nothing_expires_before_the_servers_clock_says_so() -> None:
    assert early(expired(said=False), expired(), NOW) == []
    assert early(expired(said=False), expired(), START)[0]["field"] == "status.conditions"
    assert early(expired(said=False, end=None), expired(), NOW)[0]["reason"] == "FieldValueInvalid"
    assert early(expired(end=HOUR), expired(), NOW) == [], "it was accepted before"
    assert early(expired(), expired(said=False), START) == []


def test_only_what_was_not_said_before_expires() -> None:
    assert expires(expired(said=False), expired())
    assert not expires(expired(), expired())
    assert not expires(expired(said=False), expired(said=False))


LATER = "2026-02-02T00:01:00Z"


@pytest.mark.parametrize(
    ("rules", "since", "now", "end"),
    [
        ({}, NOW, NOW, LATER),
        ({}, NOW, "2026-02-02T00:00:59Z", LATER),
        ({}, NOW, LATER, None),
        ({}, START, NOW, None),
        ({}, "1970-01-01T00:00:00Z", NOW, None),
        ({"warningSeconds": 60}, NOW, NOW, LATER),
        ({"warningSeconds": 2 * 86400}, NOW, NOW, "2026-02-03T00:01:00Z"),
        ({"warningSeconds": 2 * 86400, "maxDurationSeconds": 3600}, NOW, NOW, "2026-02-01T01:01:00Z"),
        ({"maxDurationSeconds": 9 * 86400}, NOW, NOW, LATER),
    ],
)
def test_a_lease_that_may_have_been_extended_gets_more_time(rules: dict[str, int], since: str, now: str, end: str | None) -> None:
    found = with_grace(expired(), since, rules, now)
    lease = {"startTime": START, "expirationTimestamp": end, "graceSince": since}
    assert found == ({"conditions": [], "lease": lease} if end else None)


def test_without_a_lease_nothing_gets_more_time() -> None:
    assert with_grace(expired(end=None), NOW, {}, NOW) is None
