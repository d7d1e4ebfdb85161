"""Check which free hosts are offered to which namespaces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from controllers.offer.plan import Offered, changes, plan
from tests.unit.controllers.clusters import host

offers = st.lists(
    st.builds(
        Offered, name=st.uuids().map(str), kind=st.sampled_from("abc"), dirty_for=st.sampled_from([None, None, "", "uid-n1", "uid-n2"])
    ),
    max_size=20,
    unique_by=lambda one: one.name,
)


@given(offers, st.sets(st.sampled_from(["n1", "n2", "n3"])), st.none() | st.integers(0, 6))
def test_offers(hosts: list[Offered], namespaces: set[str], limit: int | None) -> None:
    planned = plan(hosts, {name: f"uid-{name}" for name in sorted(namespaces)}, limit)
    assert planned.keys() == {one.name for one in hosts}
    for one in hosts:
        assert set(planned[one.name]) <= {name for name in namespaces if one.dirty_for in (None, f"uid-{name}")}
    for name in namespaces:
        eligible = [one for one in hosts if one.dirty_for in (None, f"uid-{name}")]
        seen = [one for one in eligible if name in planned[one.name]]
        assert len(seen) == min(len(eligible), len(eligible) if limit is None else limit)
        kinds = {one.kind for one in eligible}
        assert len({one.kind for one in seen}) == min(len(kinds), len(seen)), "spread over the kinds of hardware"


def test_only_offers_that_differ_are_changed() -> None:
    fresh, right, wrong = host("fresh"), host("right"), host("wrong")
    right["spec"]["offers"], wrong["spec"]["offers"] = ["n1", "n2"], ["n1", "gone"]
    sick, claimed = host("sick", available=False), host("claimed", claim="w")
    sick["spec"]["offers"], claimed["spec"]["offers"] = ["n1"], ["n1"]
    everything = [fresh, right, wrong, sick, claimed]
    assert changes(everything, {"n1": "1", "n2": "2"}, None) == [("fresh", ["n1", "n2"]), ("wrong", ["n1", "n2"]), ("sick", [])]
    assert changes([right], {"n1": "1", "n2": "2"}, 1) == []


def test_a_host_with_data_is_offered_again_where_the_uid_is_that_of_its_data() -> None:
    dirty = host("dirty")
    dirty["status"] |= {"dirtyFor": "n1", "dirtyForUID": "1"}
    assert changes([dirty], {"n1": "1", "n2": "2"}, None) == [("dirty", ["n1"])]
    dirty["spec"]["offers"] = ["n1"]
    assert changes([dirty], {"n1": "another", "n2": "2"}, None) == [("dirty", [])]
    del dirty["status"]["dirtyForUID"]
    assert changes([dirty], {"n1": "1", "n2": ""}, None) == [("dirty", [])], "of an earlier version, which knew names alone"


def test_offers_are_different_per_namespace_and_mostly_stay() -> None:
    hosts = [Offered(f"h{number}", "same") for number in range(50)]
    planned = plan(hosts, {"n1": "1", "n2": "2"}, 5)
    first = {name for name, seen in planned.items() if "n1" in seen}
    second = {name for name, seen in planned.items() if "n2" in seen}
    assert first != second
    gone = min(first)
    after = plan([host for host in hosts if host.name != gone], {"n1": "1"}, 5)
    assert first - {gone} <= {name for name, seen in after.items() if seen}


def test_hosts_that_are_kept_for_a_namespace_are_shown_to_it_alone_and_beyond_the_limit() -> None:
    hosts = [Offered(f"h{number}", "same") for number in range(3)]
    hosts += [
        Offered("kept", "same", reserved_for="1"),
        Offered("also", "same", reserved_for="1"),
        Offered("gone", "same", reserved_for="3"),
    ]
    planned = plan(hosts, {"n1": "1", "n2": "2"}, 1)
    assert (planned["kept"], planned["also"], planned["gone"]) == (["n1"], ["n1"], [])
    assert [sum(name in seen for seen in planned.values()) for name in ("n1", "n2")] == [3, 1]
    assert plan([Offered("dirty", "same", dirty_for="2", reserved_for="1")], {"n1": "1", "n2": "2"}, None) == {"dirty": []}


def test_a_mark_changes_the_offers_of_a_host() -> None:
    marked = host("h")
    marked["spec"] |= {"offers": ["n1", "n2"], "reservedFor": {"namespace": "n1", "namespaceUID": "1", "name": "r", "uid": "u"}}
    assert changes([marked], {"n1": "1", "n2": "2"}, None) == [("h", ["n1"])]
    assert changes([marked], {"n1": "another", "n2": "2"}, None) == [("h", [])]
