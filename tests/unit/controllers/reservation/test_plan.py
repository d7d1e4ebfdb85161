"""Check which hosts Reservations have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.apis.host import unavailable_reason
from controllers.reservation.plan import Active, plan
from tests.unit.controllers.reservation.reservations import active, machine
from tests.unit.cost import assert_cheaper

Object = dict[str, Any]


def marks(reservations: list[Active], hosts: list[Object]) -> dict[str, str]:
    """Return the uid of the Reservation of each host after the plan."""
    return {name: mark["uid"] for name, mark in applied(reservations, hosts).items() if mark is not None}


def applied(reservations: list[Active], hosts: list[Object]) -> dict[str, Object | None]:
    changes = plan(reservations, hosts)
    return {one["metadata"]["name"]: changes.get(one["metadata"]["name"], one["spec"].get("reservedFor")) for one in hosts}


def test_free_hosts_are_set_aside_the_smallest_that_suffice() -> None:
    one = active(hosts=2, requirements={"cpuCount": 16})
    hosts = [machine("large", cpus=64), machine("tiny", cpus=8), machine("fits", cpus=16), machine("more", cpus=32)]
    assert plan([one], hosts) == {"fits": one.mark, "more": one.mark}


def test_hosts_of_the_namespace_count_first_and_those_of_others_never() -> None:
    one = active(hosts=2)
    hosts = [machine("own", holder="a"), machine("others", holder="b"), machine("free"), machine("rest")]
    assert marks([one], hosts) == {"own": one.uid, "free": one.uid}


def test_a_workload_on_another_host_gives_one_that_was_set_aside_back() -> None:
    one = active(hosts=1)
    hosts = [machine("aside", mark=one), machine("bound", holder="a")]
    assert plan([one], hosts) == {"aside": None, "bound": one.mark}


def test_reserved_hosts_stay_reserved() -> None:
    one, two = active("one", hosts=1), active("two", hosts=1)
    hosts = [machine("b", mark=one), machine("a", mark=two), machine("tiny", cpus=1)]
    assert plan([one, two], hosts) == {}


@pytest.mark.parametrize("broken", [{"available": False, "reason": "Unhealthy"}, {"available": False, "reason": "HostError"}])
def test_a_host_that_cannot_be_had_is_replaced_and_kept_while_there_is_no_other(broken: Object) -> None:
    one = active(hosts=1)
    sick = machine("sick", mark=one, **broken)
    assert plan([one], [sick]) == {}, "it may be free again before another one is"
    assert plan([one], [sick, machine("good")]) == {"sick": None, "good": one.mark}


def test_a_cordoned_host_is_replaced() -> None:
    one = active(hosts=1)
    cordoned = machine("cordoned", mark=one)
    cordoned["spec"]["unschedulable"] = True
    assert plan([one], [cordoned, machine("good")]) == {"cordoned": None, "good": one.mark}


def test_a_host_that_is_being_released_is_marked_before_others_can_take_it() -> None:
    one = active(hosts=2)
    leaving = machine("leaving", available=False, reason="Releasing")
    broken = machine("broken", available=False, reason="Unhealthy")
    assert marks([one], [leaving, broken, machine("good")]) == {"leaving": one.uid, "good": one.uid}
    assert marks([active(hosts=1)], [leaving, machine("good")]) == {"good": one.uid}


def test_a_host_whose_workload_is_being_deleted_is_marked_if_hosts_are_missing() -> None:
    one = active(hosts=1)
    busy = machine("busy", holder="b")
    assert plan([one], [busy], {"busy"}) == {"busy": one.mark}
    marked = machine("busy", holder="b", mark=one)
    assert plan([one], [marked], {"busy"}) == {}
    assert plan([one], [marked, machine("free")], {"busy"}) == {"busy": None, "free": one.mark}
    assert plan([one], [marked]) == {"busy": None}, "its Workload is another one by now, which stays"


def test_the_oldest_chooses_first_and_takes_nothing_that_another_has() -> None:
    old, new = active("old", hosts=2), active("new", "b", hosts=2)
    assert marks([old, new], [machine(name) for name in "xyz"]) == {"x": old.uid, "y": old.uid, "z": new.uid}
    assert marks([old, new], [machine("x", mark=new), machine("y", mark=new), machine("z")]) == {"x": new.uid, "y": new.uid, "z": old.uid}


def test_fewer_hosts_and_no_reservation_free_at_once() -> None:
    before = active(hosts=3)
    hosts = [machine("x", mark=before), machine("y", mark=before, holder="a"), machine("z", mark=before)]
    assert plan([active(hosts=1)], hosts) == {"x": None, "z": None}, "the host in use is the last one"
    assert plan([], hosts) == {"x": None, "y": None, "z": None}
    assert plan([active(hosts=3, className="other")], hosts) == {"x": None, "y": None, "z": None}
    assert plan([active(hosts=3, hostSelector={"matchLabels": {"gpu": "yes"}})], hosts) == {"x": None, "y": None, "z": None}


def test_a_host_with_data_of_the_namespace_counts_and_one_with_anothers_does_not() -> None:
    one = active(hosts=2)
    own, others = machine("own"), machine("others")
    own["status"] |= {"dirtyFor": "a", "dirtyForUID": "uid-a"}
    others["status"] |= {"dirtyFor": "b", "dirtyForUID": "uid-b"}
    assert marks([one], [own, others]) == {"own": one.uid}
    assert marks([one], [own, machine("others", mark=one) | {"status": others["status"]}]) == {"own": one.uid}


def test_a_later_namespace_of_the_name_has_its_own_mark() -> None:
    one = active(hosts=1)
    later = Active(one.reservation, "another uid")
    assert plan([later], [machine("x", mark=one)]) == {"x": later.mark}


def test_hosts_that_are_not_reported_or_go_away_are_not_planned() -> None:
    one = active(hosts=2)
    gone, unknown = machine("gone", mark=one), machine("unknown", mark=one)
    gone["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    del unknown["status"]["report"]
    assert plan([one], [gone, unknown]) == {"gone": None, "unknown": None}


NAMESPACES = ("a", "b")
reservations = st.lists(
    st.builds(
        lambda number, namespace, hosts, labels, cpus: active(
            f"r{number}", namespace, hosts, requirements={"cpuCount": cpus}, **({"hostSelector": {"matchLabels": labels}} if labels else {})
        ),
        st.integers(0, 99),
        st.sampled_from(NAMESPACES),
        st.integers(1, 4),
        st.sampled_from([{}, {}, {"gpu": "yes"}]),
        st.sampled_from([1, 16, 32]),
    ),
    max_size=4,
    unique_by=lambda one: one.uid,
)
machines = st.lists(
    st.tuples(
        st.sampled_from(["", "", "a", "b", "c"]),
        st.integers(-1, 4),
        st.sampled_from([8, 16, 32]),
        st.booleans(),
        st.sampled_from(["", "", "Releasing", "Unhealthy"]),
    ),
    max_size=12,
)


def made(number: int, drawn: tuple[str, int, int, bool, str], known: list[Active]) -> Object:
    holder, mark, cpus, gpu, reason = drawn
    held = {"available": False, "reason": reason} if reason and not holder else {}
    marked = known[mark] if 0 <= mark < len(known) else active("gone", "c") if mark == len(known) else None
    if marked is not None and holder and marked.reservation["metadata"]["namespace"] != holder:
        marked = None  # the server refuses that
    return machine(f"h{number:02}", holder=holder, mark=marked, cpus=cpus, labels={"gpu": "yes"} if gpu else {}, **held)


def fits(one: Active, host: Object) -> bool:
    spec, report = one.reservation["spec"], host["status"]["report"]
    labels = (spec.get("hostSelector") or {}).get("matchLabels") or {}
    enough = report["status"]["hardware"]["cpu"]["count"] >= spec["requirements"]["cpuCount"]
    return bool(enough and labels.items() <= report["labels"].items())


@settings(max_examples=300, deadline=None)
@given(reservations, machines)
def test_every_plan_is_sound_complete_and_final(known: list[Active], drawn: list[Any]) -> None:
    hosts = [made(number, one, known) for number, one in enumerate(drawn)]
    after = applied(known, hosts)
    by_uid: Mapping[str, Active] = {one.uid: one for one in known}
    counts = dict.fromkeys(by_uid, 0)
    for host in hosts:
        mark = after[host["metadata"]["name"]]
        if mark is None:
            continue
        one = by_uid[mark["uid"]]
        counts[one.uid] += 1
        claim = host["spec"].get("claimRef")
        assert claim is None or claim["namespace"] == mark["namespace"], "nothing is taken from others"
        assert fits(one, host)
    for one in known:
        wanted = one.reservation["spec"]["hosts"]
        assert counts[one.uid] <= wanted, "no more than asked for"
        left = [host for host in hosts if after[host["metadata"]["name"]] is None and fits(one, host) and unavailable_reason(host) is None]
        assert counts[one.uid] == wanted or not left, "none is missing while a free host would do"
    later = [{**host, "spec": {**host["spec"], "reservedFor": mark}} for host in hosts if (mark := after[host["metadata"]["name"]])]
    later += [
        {**host, "spec": {key: value for key, value in host["spec"].items() if key != "reservedFor"}}
        for host in hosts
        if after[host["metadata"]["name"]] is None
    ]
    assert plan(known, later) == {}, "the next plan changes nothing"
    kept = {one.uid for one in known}
    for host in hosts:
        before = host["spec"].get("reservedFor")
        free = before is not None and before["uid"] in kept and unavailable_reason(host) is None and fits(by_uid[before["uid"]], host)
        if free and (mark := after[host["metadata"]["name"]]) is not None and mark["uid"] != before["uid"]:
            assert counts[before["uid"]] == by_uid[before["uid"]].reservation["spec"]["hosts"], "taken only from one that has enough"


@pytest.mark.parametrize("kinds", [1, 16])
def test_the_work_is_linear_in_the_hosts(kinds: int) -> None:
    def fleet(number: int) -> list[Object]:
        return [machine(f"h{place:05}", cpus=8 + place % 3, labels={"host": str(place)}) for place in range(number)]

    known = [active(f"r{place}", "ab"[place % 2], 4, requirements={"cpuCount": 1 + place % kinds}) for place in range(32)]
    small, large = fleet(250), fleet(1000)
    assert_cheaper(lambda: plan(known, large), lambda: plan(known, small), 8)
