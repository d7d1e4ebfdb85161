"""Small pure parts: quantities, admittance, offers, free hosts, conditions, selectors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.host import HostStatus
from apiserver.apis.quantity import human, parse_quantity
from apiserver.client.objects import matches, split_key
from controllers.classaccess import admits, default_class, is_active
from controllers.cluster import without_managers
from controllers.host.controller import changed_status, host_status
from controllers.offer.plan import Offered, changes, plan
from controllers.providers.base import Consumer, ProviderHost, Source
from controllers.runtime.conditions import condition, find_condition, is_true, set_conditions
from controllers.scheduler.cache import ASSUMED_FOR, FreeHosts
from controllers.scheduler.explanations import Explanations
from controllers.scheduler.fit import Needs
from controllers.scheduler.pending import Pending
from controllers.workloadclass.status import HostCounts
from tests.unit.controllers.clusters import bmh
from tests.unit.controllers.fakeclock import FakeClock


@pytest.mark.parametrize(
    ("text", "number"),
    [("64Gi", 64 * 2**30), ("1.5k", 1500), (16, 16), ("1e3", 1000), ("500m", 0.5), ("2E", 2e18), ("1Ei", 2**60), ("12E2", 1200)],
)
def test_quantities(text: str | int, number: float) -> None:
    assert parse_quantity(text) == number


@pytest.mark.parametrize("text", ["", "x", "1Zi", "-1", "Gi", "1.", "1 Gi"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


@given(st.integers(2**20, 2**50))
def test_sizes_are_exact_or_rounded_down(size: int) -> None:
    said = parse_quantity(human(size))
    assert size - 2**20 < said <= size


def namespace(name: str, phase: str = "Active", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("rules", "admitted"),
    [
        (None, set()),
        ({}, set()),
        ({"names": ["*"]}, {"team-a", "team-b", "prod"}),
        ({"names": ["team-a"]}, {"team-a"}),
        ({"nameMatches": "team-.*"}, {"team-a", "team-b"}),
        ({"nameMatches": "team"}, set()),
        ({"selector": {"matchLabels": {"tier": "gold"}}}, {"prod"}),
        ({"selector": {}}, {"team-a", "team-b", "prod"}),
        ({"names": ["team-b"], "selector": {"matchLabels": {"tier": "gold"}}}, {"team-b", "prod"}),
    ],
)
def test_who_is_admitted(rules: dict[str, Any] | None, admitted: set[str]) -> None:
    class_: dict[str, Any] = {"metadata": {"name": "metal"}, "spec": {} if rules is None else {"allowedNamespaces": rules}}
    everyone = [namespace("team-a"), namespace("team-b"), namespace("prod", tier="gold")]
    assert {item["metadata"]["name"] for item in everyone if admits(class_, item)} == admitted
    class_["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not any(admits(class_, item) for item in everyone), "a class that is being deleted takes nobody in"


def test_a_terminating_namespace_is_not_active() -> None:
    assert is_active(namespace("a"))
    assert not is_active(namespace("a", phase="Terminating"))
    assert not is_active({"metadata": {"name": "a", "deletionTimestamp": "x"}})


def test_the_newest_default_class_wins() -> None:
    key = "workloadclass.workload.metal3.io/is-default-class"
    classes = [
        {"metadata": {"name": "old", "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {key: "true"}}},
        {"metadata": {"name": "new", "creationTimestamp": "2026-02-01T00:00:00Z", "annotations": {key: "true"}}},
        {"metadata": {"name": "newest", "creationTimestamp": "2026-03-01T00:00:00Z", "annotations": {key: "false"}}},
    ]
    found = default_class(classes)
    assert found is not None
    assert found["metadata"]["name"] == "new"
    assert default_class(classes[2:]) is None


offers = st.lists(
    st.builds(
        Offered, name=st.uuids().map(str), kind=st.sampled_from("abc"), dirty_for=st.sampled_from([None, None, "", "uid-n1", "uid-n2"])
    ),
    max_size=20,
    unique_by=lambda host: host.name,
)


@given(offers, st.sets(st.sampled_from(["n1", "n2", "n3"])), st.none() | st.integers(0, 6))
def test_offers(hosts: list[Offered], namespaces: set[str], limit: int | None) -> None:
    planned = plan(hosts, {name: f"uid-{name}" for name in sorted(namespaces)}, limit)
    assert planned.keys() == {host.name for host in hosts}
    for host in hosts:
        assert set(planned[host.name]) <= {name for name in namespaces if host.dirty_for in (None, f"uid-{name}")}
    for name in namespaces:
        eligible = [host for host in hosts if host.dirty_for in (None, f"uid-{name}")]
        seen = [host for host in eligible if name in planned[host.name]]
        assert len(seen) == min(len(eligible), len(eligible) if limit is None else limit)
        kinds = {host.kind for host in eligible}
        assert len({host.kind for host in seen}) == min(len(kinds), len(seen)), "spread over the kinds of hardware"


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


def test_hosts_are_counted_as_they_change() -> None:
    counts, dirty = HostCounts(), host("h2")
    dirty["status"]["dirtyFor"] = "n1"
    steps = [(None, host("h1")), (None, dirty), (None, host("h3", available=False, reason="Unhealthy"))]
    assert all(counts.update(old, new) for old, new in steps)
    assert counts.of("metal") == {"total": 3, "free": 2, "claimed": 0, "unhealthy": 1, "dirty": 1}
    assert counts.update(host("h1"), host("h1", claim="w"))
    assert not counts.update(host("h1", claim="w"), host("h1", claim="other"))
    assert counts.of("metal") == {"total": 3, "free": 1, "claimed": 1, "unhealthy": 1, "dirty": 1}
    for old in (host("h1", claim="w"), dirty, host("h3", available=False, reason="Unhealthy")):
        assert counts.update(old, None)
    assert set(counts.of("metal").values()) == {0}
    assert counts.of("unknown")["total"] == 0


def test_offers_are_different_per_namespace_and_mostly_stay() -> None:
    hosts = [Offered(f"h{number}", "same") for number in range(50)]
    planned = plan(hosts, {"n1": "1", "n2": "2"}, 5)
    first = {name for name, seen in planned.items() if "n1" in seen}
    second = {name for name, seen in planned.items() if "n2" in seen}
    assert first != second
    gone = min(first)
    after = plan([host for host in hosts if host.name != gone], {"n1": "1"}, 5)
    assert first - {gone} <= {name for name, seen in after.items() if seen}


def host(name: str, *, claim: str = "", available: bool = True, reason: str = "") -> dict[str, Any]:
    spec: dict[str, Any] = {"className": "metal", "source": {"name": name, "uid": name}}
    if claim:
        spec["claimRef"] = {"namespace": "a", "name": claim, "uid": claim}
    status = {"available": available, "reason": reason, "report": {"spec": {}, "status": bmh(name)["status"]}}
    return {"metadata": {"name": name}, "spec": spec, "status": status}


def test_free_hosts_and_assumptions() -> None:
    clock = FakeClock()
    free, want = FreeHosts(clock), Needs(namespace_uid="a", seed="w")
    assert free.update(None, host("h1")) == "metal"
    free.update(None, host("h2", claim="w"))
    free.update(None, host("h3", available=False, reason="Unhealthy"))
    assert free.best("metal", want) == "h1"
    assert free.reasons("metal", Needs(namespace_uid="a", seed="w", nics=9)) == {"have fewer than 9 NICs": 1}, (
        "of what others have nothing is said"
    )
    before = free.version("metal")
    free.assume("h1")
    assert free.best("metal", want) is None
    assert free.reasons("metal", want) == {}
    assert free.version("metal") != before
    # A late event from before the bind does not free it.
    assert free.update(host("h1"), {**host("h1"), "metadata": {"name": "h1", "resourceVersion": "2"}}) is None
    assert free.best("metal", want) is None
    free.restore("h1")
    assert free.best("metal", want) == "h1"
    free.assume("h1")
    clock.advance(ASSUMED_FOR + 1)
    assert free.best("metal", want) == "h1", "an assumption that nothing confirms ends"
    free.assume("h1")
    assert free.update(host("h1"), host("h1", claim="w")) is None
    before = free.version("metal")
    assert free.update(host("h2", claim="w"), host("h2", claim="w")) is None
    assert free.version("metal") == before, "nothing that matters has changed"
    assert free.update(host("h2", claim="w"), host("h2", available=False)) is None
    assert free.version("metal") != before, "nothing is free, but for another reason"
    assert free.update(host("h2", available=False), host("h2")) == "metal"
    assert free.best("metal", want) == "h2"
    assert free.total("metal") == 3
    for name in ("h1", "h2", "h3"):
        assert free.update(host(name), None) is None
    assert (free.total("metal"), free.best("metal", want), free.reasons("metal", want)) == (0, None, {})


def test_explanations_are_made_once_and_again_when_things_have_changed() -> None:
    free, now = FreeHosts(FakeClock()), [0.0]

    def clock() -> float:
        now[0] += 0.1  # each look at the clock: counting takes that long
        return now[0]

    free.update(None, host("h1"))
    explanations = Explanations(free, clock)
    first, second = Needs(namespace_uid="a", seed="1", nics=9), Needs(namespace_uid="a", seed="2", nics=9)
    assert explanations.of("metal", first) == ("0/1 free hosts fit: 1 has fewer than 9 NICs", True)
    assert explanations.of("metal", second) == ("0/1 free hosts fit: 1 has fewer than 9 NICs", True)
    free.update(None, host("h2"))
    assert explanations.of("metal", first) == ("0/1 free hosts fit: 1 has fewer than 9 NICs", False), "it was counted just now"
    now[0] += 5
    assert explanations.of("metal", first) == ("0/2 free hosts fit: 2 have fewer than 9 NICs", True)
    assert explanations.of("other", first)[0].startswith("no host of the class is free")


def test_what_others_have_left_their_data_on_is_not_counted() -> None:
    free = FreeHosts(FakeClock())
    dirty = host("h1")
    dirty["status"]["dirtyFor"] = "other"
    free.update(None, dirty)
    assert free.reasons("metal", Needs(namespace_uid="a", seed="w")) == {}


def test_workloads_that_wait_are_found_by_class() -> None:
    pending = Pending()
    pending.add("a/1")
    pending.add("a/2", "metal")
    pending.add("a/1", "metal")
    pending.add("a/3", "virtual")
    assert (pending.of("metal"), pending.of("virtual"), pending.of("")) == (["a/2", "a/1"], ["a/3"], [])
    pending.remove("a/2")
    pending.remove("a/2")
    assert ("a/2" in pending, pending.of("metal"), pending.all()) == (False, ["a/1"], ["a/1", "a/3"])


def test_a_real_host_that_is_ours_without_a_claim_is_an_orphan() -> None:
    consumer = Consumer("Workload", "a", "w", "uid")
    reported = ProviderHost(Source("metal3", "h", "u"), {"name": "h"}, False, "Claimed", "…", consumer=consumer)
    assert host_status(reported, host("h"))["reason"] == "Orphaned"
    assert "consumerRef" in host_status(reported, host("h"))["message"]
    assert host_status(reported, host("h", claim="w"))["reason"] == "Claimed"


def test_transition_times_change_with_the_status_only() -> None:
    first = set_conditions(None, [condition("A", False, "R", "m", generation=1)], "t1")
    same = set_conditions(first, [condition("A", False, "Other", "n", generation=2)], "t2")
    assert same == [{**condition("A", False, "Other", "n", generation=2), "lastTransitionTime": "t1"}]
    turned = set_conditions(same, [condition("A", True, "R", "m"), condition("B", None, "R", "m")], "t3")
    assert (find_condition(turned, "A") or {})["lastTransitionTime"] == "t3"
    assert is_true(turned, "A")
    assert not is_true(turned, "B")
    assert (find_condition(turned, "B") or {})["status"] == "Unknown"


@pytest.mark.parametrize(
    ("expression", "matching"),
    [
        ({"key": "a", "operator": "In", "values": ["1"]}, True),
        ({"key": "b", "operator": "NotIn", "values": ["1"]}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, False),
        ({"key": "a", "operator": "Exists"}, True),
        ({"key": "a", "operator": "DoesNotExist"}, False),
        ({"key": "a", "operator": "Nonsense"}, False),
    ],
)
def test_label_selectors(expression: dict[str, Any], matching: bool) -> None:
    assert matches({"matchExpressions": [expression]}, {"a": "1"}) is matching


def test_managers_are_left_out_of_what_is_kept() -> None:
    bare = host("h1")
    full = {**bare, "metadata": {**bare["metadata"], "managedFields": [{"manager": "x"}]}}
    assert without_managers(full) == bare == without_managers(bare)
    assert "managedFields" in full["metadata"], "what came is not changed"


def test_keys() -> None:
    assert split_key("a/b") == ("a", "b")
    assert split_key("b") == ("", "b")


def test_what_the_server_makes_of_a_report_is_no_difference() -> None:
    provisioning = {"state": "available"}
    status = {"available": True, "report": {"name": "h", "spec": {}, "status": {"provisioning": provisioning, "ofALaterBMO": 1}}}
    stored = HostStatus.decode(status).encode() | {"phase": "Available"}
    assert stored != {**status, "phase": "Available"}
    assert changed_status({"status": stored}, status) is None
    changed = {**status, "available": False}
    assert changed_status({"status": stored}, changed) == {**changed, "phase": "Available"}
    unreadable = {**status, "available": "perhaps"}
    assert changed_status({"status": stored}, unreadable) == {**unreadable, "phase": "Available"}, "the server says what is wrong"
