"""Check which marks as unhealthy outlive the claim: a few of each namespace and class, first those
that already outlive theirs."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.unhealthymarks import Marks

MARK = {"annotations": {"capm3.metal3.io/unhealthy": ""}}


def host(name: str, *, marked: bool = True, bears: bool = False, given_back: bool = False, class_name: str = "metal") -> dict[str, Any]:
    holder = {"namespace": "a", "name": "w", "uid": name}
    spec: dict[str, Any] = {"className": class_name}
    if given_back:
        spec["chargedTo"] = {**holder, "unhealthy": marked}
    else:
        spec |= {"claimRef": holder, "view": MARK if marked else {}}
    return {"metadata": {"name": name}, "spec": spec, "status": {"report": MARK if bears else {}}}


@pytest.mark.parametrize("limit", [0, 1, 2, 5])
def test_as_many_as_the_class_says(limit: int) -> None:
    hosts, marks = [host(f"h{number}") for number in range(4)], Marks()
    assert sum(marks.keeps(one, hosts, limit) for one in hosts) == min(limit, 4)


def test_the_first_mark_stays_first_before_any_report_shows_it() -> None:
    marks, late, early = Marks(), host("h0"), host("h1")
    assert marks.keeps(early, [early, host("h0", marked=False)], 1)
    assert not marks.keeps(late, [early, late], 1)
    assert marks.keeps(early, [early, late], 1)
    left = host("h1", given_back=True)
    assert not marks.keeps(late, [left, late], 1), "it was given back just now, and is not reported yet"


def test_what_bears_a_mark_after_its_claim_takes_the_place() -> None:
    hosts = [host("h9", bears=True, given_back=True), host("h0")]
    assert not Marks().keeps(hosts[1], hosts, 1)


def test_a_repaired_host_makes_room_for_another_mark() -> None:
    marks = Marks()
    assert marks.keeps(host("h0", bears=True), [host("h0", bears=True)], 1)
    now = [host("h0", marked=False), host("h1")]
    assert marks.keeps(now[1], now, 1)


def test_what_is_kept_for_another_reason_takes_no_place() -> None:
    hosts = [host("h0", given_back=True), host("h1")]
    assert Marks().keeps(hosts[1], hosts, 1), "its mark was dropped; it is uncleaned"


def test_classes_count_for_themselves() -> None:
    hosts = [host("h0", bears=True, class_name="other"), host("h1")]
    assert Marks().keeps(hosts[1], hosts, 1)
