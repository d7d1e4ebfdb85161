"""Check the matching of batches: as many as any choice can place, on the least capacity, at a
bounded cost."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.apis.quantity import GI
from controllers.scheduler.fit import Candidate, Requirements, capacity, unfit_reason
from controllers.scheduler.index import HostIndex
from controllers.scheduler.matching import MOST_KEYS, MOST_KINDS, Matching, plan, too_different

sizes = st.sampled_from([8, 16, 32])
fleets = st.lists(
    st.builds(
        Candidate,
        name=st.uuids().map(str),
        labels=st.dictionaries(st.sampled_from(["zone", "gpu"]), st.sampled_from(["1", "2"])),
        cpus=sizes,
        ram=sizes.map(lambda n: n * GI),
        dirty_for=st.sampled_from([None, None, None, "other"]),
    ),
    max_size=6,
    unique_by=lambda host: host.name,
)
batches = st.lists(
    st.builds(
        Requirements,
        namespace_uid=st.just("own"),
        seed=st.uuids().map(str),
        selector=st.sampled_from([None, {"matchLabels": {"zone": "1"}}, {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]),
        cpus=sizes,
        ram=sizes.map(lambda n: float(n * GI)),
        resources=st.sampled_from([(), (("gpu", 1.0, "1"),)]),
    ),
    max_size=4,
)
PLAIN = Requirements("own", "")


def keyed(batch: list[Requirements]) -> dict[str, Requirements]:
    return {f"w{number}": want for number, want in enumerate(batch)}


def score(hosts: list[Candidate]) -> tuple[int, float]:
    """Return how good a choice of hosts is, the least first: the most hosts, and of these the least
    capacity."""
    return -len(hosts), round(sum(capacity(host, PLAIN) for host in hosts), 6)


def brute_force(fleet: list[Candidate], batch: list[Requirements]) -> tuple[int, float]:
    """Return the best score of all ways to give each of the batch a host or none."""
    places: list[Candidate | None] = [*fleet, *([None] * len(batch))]
    ways = permutations(places, len(batch))
    fitting = ([h for h in way if h] for way in ways if all(not h or unfit_reason(h, w) is None for h, w in zip(way, batch, strict=True)))
    return min(map(score, fitting))


def one_by_one(fleet: list[Candidate], batch: list[Requirements]) -> list[Candidate]:
    """Choose the best fit for one after the other."""
    index, chosen = HostIndex(), list[Candidate]()
    for host in fleet:
        index.add(host)
    for want in batch:
        if (found := index.best(want)) is not None:
            chosen.append(found)
            index.remove(found.name)
    return chosen


def planned(fleet: list[Candidate], batch: list[Requirements]) -> list[Candidate]:
    """Plan, and check that every Workload has a host of its own that fits."""
    wants, names = keyed(batch), {host.name: host for host in fleet}
    chosen = plan(fleet, wants).hosts
    assert len(set(chosen.values())) == len(chosen)
    assert all(unfit_reason(names[host], wants[key]) is None for key, host in chosen.items())
    return [names[host] for host in chosen.values()]


@settings(max_examples=80, deadline=None)
@given(fleets, batches)
def test_a_plan_equals_the_best_of_all_choices_and_is_no_worse_than_one_by_one(fleet: list[Candidate], batch: list[Requirements]) -> None:
    found = score(planned(fleet, batch))
    assert found == brute_force(fleet, batch)
    assert found[0] <= score(one_by_one(fleet, batch))[0]


def test_a_batch_is_placed_where_a_choice_one_by_one_leaves_one_waiting() -> None:
    fleet = [Candidate("a", {"zone": "1"}, cpus=8), Candidate("b", cpus=16)]
    batch = [Requirements("own", "x", cpus=8), Requirements("own", "y", selector={"matchLabels": {"zone": "1"}})]
    assert len(one_by_one(fleet, batch)) == 1
    assert plan(fleet, keyed(batch)).hosts == {"w0": "b", "w1": "a"}


def test_nothing_is_planned_without_hosts_or_without_workloads() -> None:
    assert plan([], keyed([PLAIN])).hosts == {}
    assert plan([Candidate("a")], {}).hosts == {}


@pytest.mark.parametrize("kinds", [1, 4])
def test_the_work_of_a_plan_does_not_grow_with_the_number_of_hosts(kinds: int) -> None:
    def work(count: int) -> int:
        fleet = [Candidate(f"{n:05}", cpus=8 * (1 + n % 16), ram=GI) for n in range(count)]
        return plan(fleet, keyed([Requirements("own", "", cpus=1 + n % kinds) for n in range(16)])).work

    assert work(10_000) <= 1.5 * work(100)


def test_the_work_grows_with_different_hosts_and_workloads_at_most_as_their_product() -> None:
    """Let all hosts differ, and let each request be in the way of others."""

    def work(count: int, requests: int) -> int:
        fleet = [Candidate(f"{n:05}", {"serial": str(n)}, cpus=n + 1) for n in range(count)]
        chain: list[dict[str, Any]] = [
            {"matchExpressions": [{"key": "serial", "operator": "In", "values": [str(n), str(n + 1)]}]} for n in range(8)
        ]
        return plan(fleet, keyed([Requirements("own", "", chain[n % 8]) for n in range(requests)])).work

    assert work(4_000, 100) <= 4.5 * work(1_000, 100)
    assert work(1_000, 400) <= 4.5 * work(1_000, 100)


def test_what_a_failed_search_reached_is_not_searched_again() -> None:
    demands = [1] * 30
    chain = [(1, 3 << n) for n in range(29)] + [(1, 1 << 29)]

    def steps(surplus: int) -> int:
        return Matching(demands, [*chain, *([(1, (1 << 29) - 1)] * surplus)]).steps

    assert steps(1_000) == steps(10)
    crowded = [Matching([1, 1, 5], [(1, 1), (1, 3), *([(1, 3)] * surplus)]).steps for surplus in (1, 1_000)]
    assert crowded[0] == crowded[1]


def test_a_batch_of_too_many_kinds_is_refused() -> None:
    assert too_different([Requirements("own", str(n), cpus=n % MOST_KINDS) for n in range(1_000)]) is None
    assert "33 different requirements" in str(too_different([Requirements("own", "", cpus=n) for n in range(MOST_KINDS + 1)]))
    labels = [{"matchLabels": {f"k{n}-{one}": "v" for one in range(64)}} for n in range(3)]
    assert f"at most {MOST_KEYS}" in str(too_different([Requirements("own", "", selector) for selector in labels]))


def test_a_batch_takes_what_is_kept_for_its_namespace_first() -> None:
    fleet = [Candidate("small", cpus=8), Candidate("kept", cpus=64, reserved_for="own"), Candidate("others", cpus=8, reserved_for="other")]
    assert plan(fleet, keyed([PLAIN])).hosts == {"w0": "kept"}
    assert sorted(plan(fleet, keyed([PLAIN, PLAIN, PLAIN])).hosts.values()) == ["kept", "small"]
