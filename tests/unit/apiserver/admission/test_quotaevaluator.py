"""Check which creations fit into quotas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.admission.quotaevaluator import Limit, Request, StatusUnknown, check_requests, counted_as, limits, quantity, with_used
from tests.unit.apiserver.admission.writes import THINGS

COUNTED = "count/things.g"


def quota(name: str, hard: str = "2", used: str | None = "0", **spec: Any) -> dict[str, Any]:
    status = {"hard": {COUNTED: hard, "pods": "1"}, "used": {"pods": "1"} if used is None else {COUNTED: used, "pods": "1"}}
    return {"metadata": {"name": name, "namespace": "n"}, "spec": spec, "status": status}


def test_names() -> None:
    assert counted_as(THINGS) == COUNTED


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("10", 10),
        (10, 10),
        ("1k", 1000),
        ("2Ki", 2048),
        ("1e3", 1000),
        ("1500m", 2),
        ("0", 0),
        ("1.5M", 1_500_000),
        ("3E2", 300),
        ("1E", 10**18),
    ],
)
def test_quantities(text: object, number: int) -> None:
    assert quantity(text) == number


def test_invalid_quantities_are_refused() -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity("many")


def test_limits_of_a_namespace() -> None:
    other = {"metadata": {"name": "other"}, "spec": {}, "status": {"hard": {"pods": "1"}, "used": {}}}
    fresh = {"metadata": {"name": "fresh"}, "spec": {"hard": {COUNTED: "1"}}}
    scoped = quota("scoped", scopes=["Terminating"])
    selected = quota("selected", scopeSelector={"matchExpressions": [{"scopeName": "PriorityClass"}]})
    assert limits([quota("b", "5", "3"), other, fresh, scoped, selected, quota("a")], COUNTED) == [Limit("a", 2, 0), Limit("b", 5, 3)]
    with pytest.raises(StatusUnknown, match="c"):
        limits([quota("c", used=None)], COUNTED)


def test_each_request_sees_those_before_it() -> None:
    found = [Limit("a", 3, 1), Limit("b", 10, 0)]
    outcome = check_requests(found, [Request("w"), Request("x"), Request("y")], set(), COUNTED)
    refusal = "exceeded quota: a, requested: count/things.g=1, used: count/things.g=3, limited: count/things.g=3"
    assert outcome.refusals == [None, None, refusal]
    assert outcome.used == {"a": 3, "b": 2}


def test_what_is_held_here_counts_when_the_status_lags() -> None:
    found = [Limit("a", 2, 0)]
    outcome = check_requests(found, [Request("y")], {"w", "x"}, COUNTED)
    assert outcome.refusals[0] is not None
    assert "used: count/things.g=2" in outcome.refusals[0]
    assert check_requests([Limit("a", 3, 0)], [Request("y")], {"w", "x"}, COUNTED).used == {"a": 3}


def test_dry_runs_are_judged_and_not_counted() -> None:
    found = [Limit("a", 1, 0)]
    outcome = check_requests(found, [Request("w", dry=True), Request("x"), Request("y", dry=True)], set(), COUNTED)
    assert [refusal is None for refusal in outcome.refusals] == [True, True, False]
    assert outcome.used == {"a": 1}


def test_what_is_charged_already_is_not_charged_again() -> None:
    found = [Limit("a", 1, 1), Limit("b", 1, 0)]
    assert check_requests(found, [Request("w", frozenset({"a"}))], set(), COUNTED).used == {"b": 1}
    refused = check_requests([Limit("a", 1, 1), Limit("b", 1, 1)], [Request("w", frozenset({"a"}))], set(), COUNTED).refusals[0]
    assert refused is not None
    assert "exceeded quota: b," in refused


names = st.sampled_from("abcdefgh")


@given(
    st.lists(st.builds(Limit, st.sampled_from("pqr"), st.integers(0, 8), st.integers(0, 10)), unique_by=lambda limit: limit.quota),
    st.lists(st.builds(Request, names, st.just(frozenset()), st.booleans()), max_size=12),
    st.sets(names),
)
def test_no_limit_is_ever_exceeded(found: list[Limit], requests: list[Request], held: set[str]) -> None:
    outcome = check_requests(found, requests, held, COUNTED)
    fitting = [request for request, refusal in zip(requests, outcome.refusals, strict=True) if refusal is None and not request.dry]
    after = held | {request.name for request in fitting}
    for limit in found:
        if fitting:
            assert max(limit.used + len(fitting), len(after)) <= outcome.used[limit.quota] <= limit.hard
        else:
            assert limit.quota not in outcome.used


def test_a_charge_changes_nothing_else() -> None:
    before = quota("a", used="1")
    after = with_used(before, COUNTED, 2)
    assert after["status"] == {"hard": before["status"]["hard"], "used": {COUNTED: "2", "pods": "1"}}
    assert before["status"]["used"][COUNTED] == "1"
    assert (after["kind"], after["metadata"]) == ("ResourceQuota", before["metadata"])


def test_what_counts_beside_the_objects_takes_their_room() -> None:
    outcome = check_requests([Limit("q", 2, 0)], [Request("a", additional=1), Request("b", additional=1), Request("c")], set(), COUNTED)
    assert [refusal is None for refusal in outcome.refusals] == [True, False, True]
    assert f"used: {COUNTED}=2, limited: {COUNTED}=2; 1 of them are hosts" in str(outcome.refusals[1])
    assert outcome.used == {"q": 2}, "the quota's own count is of objects"
