"""Check best fit: never a host that does not fit, never a larger one than needed, and the same
answer each time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.apis.host import host_name
from apiserver.apis.quantity import GI
from controllers.kinds import FAILURE_DOMAIN
from controllers.scheduler.fit import (
    MOST_TERMS,
    MOST_VALUES,
    OWN,
    Candidate,
    Requirements,
    candidate,
    capacity,
    demand,
    explain,
    hash_seed,
    requirements_of,
    ring_order,
    too_complex,
    unfit_reason,
    unfit_reasons,
)
from controllers.scheduler.index import HostIndex
from tests.unit.controllers.clusters import bmh, workload

sizes = st.integers(0, 4)
candidates = st.lists(
    st.builds(
        Candidate,
        name=st.uuids().map(str),
        labels=st.dictionaries(st.sampled_from(["zone", "nvidia.com/gpu", FAILURE_DOMAIN]), st.sampled_from(["1", "2", "a", "x y"])),
        architecture=st.sampled_from(["x86_64", "aarch64"]),
        cpus=sizes.map(lambda n: 8 * n),
        ram=sizes.map(lambda n: 32 * GI * n),
        storage=sizes.map(lambda n: 500 * GI * n),
        nics=sizes,
        dirty_for=st.sampled_from([None, None, "team-a", "team-b"]),
    ),
    max_size=12,
    unique_by=lambda host: host.name,
)
wants = st.builds(
    Requirements,
    namespace_uid=st.sampled_from(["team-a", "team-b"]),
    seed=st.uuids().map(str),
    selector=st.sampled_from([None, {}, {"matchLabels": {"zone": "a"}}, {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]),
    architecture=st.sampled_from(["", "x86_64"]),
    cpus=sizes.map(lambda n: 8 * n),
    ram=sizes.map(lambda n: 32.0 * GI * n),
    storage=sizes.map(lambda n: 500.0 * GI * n),
    nics=sizes,
    resources=st.sampled_from([(), (("nvidia.com/gpu", 2.0, "2"),)]),
    failure_domain=st.sampled_from(["", "a"]),
)


def satisfies(host: Candidate, want: Requirements) -> bool:
    """Return whether the host satisfies the requirements, expressed in another way."""
    gpu, zone = host.labels.get("nvidia.com/gpu", "0"), host.labels.get("zone")
    selector = want.selector or {}
    return (
        host.dirty_for in (None, want.namespace_uid)
        and ("matchLabels" not in selector or zone == "a")
        and ("matchExpressions" not in selector or zone is not None)
        and want.architecture in ("", host.architecture)
        and host.cpus >= want.cpus
        and host.nics >= want.nics
        and host.ram >= want.ram
        and host.storage >= want.storage
        and (not want.resources or (gpu.isdecimal() and int(gpu) >= 2))
    )


def rank(host: Candidate, want: Requirements) -> tuple[bool, float, tuple[bool, str]]:
    """Return the rank of a host that fits, the lowest first: in the wanted failure domain, with the
    least capacity, next on the ring."""
    elsewhere = bool(want.failure_domain) and host.labels.get(FAILURE_DOMAIN) != want.failure_domain
    return elsewhere, capacity(host, want), ring_order(hash_seed(want.seed), host.name)


def plain_best(hosts: list[Candidate], want: Requirements) -> Candidate | None:
    """Choose best fit by its definition: of all hosts that fit, the one of least rank."""
    return min((host for host in hosts if unfit_reason(host, want) is None), key=lambda host: rank(host, want), default=None)


def index_of(hosts: list[Candidate]) -> HostIndex:
    index = HostIndex()
    for host in hosts:
        index.add(host)
    return index


@settings(max_examples=60)
@given(candidates, wants)
def test_a_host_fits_if_it_satisfies_everything_and_misfits_are_counted(hosts: list[Candidate], want: Requirements) -> None:
    fitting = [host for host in hosts if satisfies(host, want)]
    assert [host for host in hosts if unfit_reason(host, want) is None] == fitting
    assert unfit_reasons(hosts, want).total() == len(hosts) - len(fitting)


@settings(max_examples=60)
@given(candidates, wants)
def test_no_fitting_host_is_smaller_or_has_less_than_is_asked_for(hosts: list[Candidate], want: Requirements) -> None:
    chosen = plain_best(hosts, want)
    if chosen is None:
        return
    clusters = [host for host in hosts if unfit_reason(host, want) is None]
    if want.failure_domain and any(host.labels.get(FAILURE_DOMAIN) == "a" for host in clusters):
        clusters = [host for host in clusters if host.labels.get(FAILURE_DOMAIN) == "a"]
    assert chosen in clusters, "the failure domain comes first"
    assert capacity(chosen, want) == min(capacity(host, want) for host in clusters)
    assert capacity(chosen, want) >= demand(want) - 1e-6


steps = st.lists(st.tuples(st.sampled_from(["remove", "add", "choose", "take"]), st.integers(0, 11), wants), max_size=25)


@settings(max_examples=150)
@given(candidates, steps)
def test_the_index_finds_the_best_fit_whatever_comes_and_goes(hosts: list[Candidate], steps: list[tuple[str, int, Requirements]]) -> None:
    index, clusters = index_of(hosts), {host.name: host for host in hosts}
    for step, number, want in steps:
        host = hosts[number % len(hosts)] if hosts else None
        if step == "add" and host is not None:
            clusters[host.name] = host
            index.add(host)
        elif step == "remove" and host is not None:
            assert index.remove(host.name) == clusters.pop(host.name, None)
        best = plain_best(list(clusters.values()), want)
        assert index.best(want) == best
        if step == "take" and best is not None:
            assert index.remove(best.name) == clusters.pop(best.name)
    assert sorted(host.name for host in index) == sorted(clusters)


def test_choosing_does_not_look_at_more_when_there_are_more_hosts() -> None:
    """Use 8 sizes of hosts, each in one of 4 racks and with its own name. The number looked at
    depends neither on racks nor on names."""

    def scanned(count: int) -> int:
        index = index_of(
            [
                Candidate(
                    name=host_name(str(number)),
                    labels={"rack": str(number % 4), "host": str(number)},
                    cpus=8 << number % 8,
                    ram=32 * GI << number % 8,
                )
                for number in range(count)
            ]
        )
        for number in range(50):
            one = index.best(Requirements(namespace_uid="a", seed="", selector={"matchLabels": {"host": str(number)}}))
            assert one is not None
            assert one.labels["host"] == str(number)
        for number in range(50):
            racks = {"matchLabels": {"rack": str(number % 4)}}
            chosen = index.best(Requirements(namespace_uid="a", seed=str(number), selector=racks, cpus=16, ram=64.0 * GI))
            assert chosen is not None
            assert index.remove(chosen.name) == chosen
        return index.scanned

    assert scanned(5_000) == scanned(500) <= 200, "the work of 100 choices"


def test_equal_hosts_are_spread_over_workloads() -> None:
    index = index_of([Candidate(name=host_name(str(number))) for number in range(20)])
    chosen = [index.best(Requirements(namespace_uid="a", seed=f"w{number}")) for number in range(100)]
    assert len({host.name for host in chosen if host}) > 15


def test_workloads_without_a_request_for_gpus_get_hosts_without_gpus() -> None:
    plain = Candidate(name="plain", cpus=16, nics=2)
    gpu = Candidate(name="gpu", cpus=16, nics=2, labels={"nvidia.com/gpu": "4"}, extras=2.3)
    assert index_of([gpu, plain]).best(Requirements(namespace_uid="a", seed="1")) == plain
    assert index_of([gpu, plain]).best(Requirements(namespace_uid="a", seed="1", resources=(("nvidia.com/gpu", 1, "1"),))) == gpu


def test_a_host_object_as_a_candidate() -> None:
    real = bmh("h1", cpus=32, ram_gib=128)
    host: dict[str, Any] = {
        "metadata": {"name": "uuid"},
        "spec": {},
        "status": {"report": {"spec": {}, "status": real["status"], "labels": {"nvidia.com/gpu": "3"}}},
    }
    host["status"] |= {"dirtyFor": "team-a", "dirtyForUID": "u"}
    found = candidate(host)
    assert (found.name, found.cpus, found.ram, found.storage, found.nics) == ("uuid", 32, 128 * GI, 2**40, 1)
    assert (found.architecture, found.dirty_for, found.extras) == ("x86_64", "u", 2.0)


def test_needs_of_a_workload() -> None:
    wl = workload("w", requirements={"ram": "64Gi", "storage": "1T", "cpuCount": 8, "resources": {"gpu": 2}})
    wl["metadata"]["uid"] = "u"
    want = requirements_of(wl)
    assert (want.ram, want.storage, want.cpus, want.resources) == (64 * GI, 1e12, 8, (("gpu", 2.0, "2"),))


@pytest.mark.parametrize(
    ("want", "reason"),
    [
        ({"cpus": 64}, "have less than 64 CPUs"),
        ({"ram": 2**50, "ram_text": "1Pi"}, "have less than 1Pi of memory"),
        ({"storage": 2**60, "storage_text": "1Ei"}, "have less than 1Ei of storage"),
        ({"nics": 9}, "have fewer than 9 NICs"),
        ({"architecture": "aarch64"}, "are not aarch64"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "lack label a=b"),
        ({"selector": {"matchExpressions": [{"key": "z", "operator": "In", "values": ["1", "2"]}]}}, "do not match z In (1, 2)"),
        ({"resources": (("gpu", 1.0, "1"),)}, "have less than 1 of gpu"),
    ],
)
def test_reasons_name_what_is_missing(want: dict[str, Any], reason: str) -> None:
    host = Candidate(name="h", architecture="x86_64", cpus=16, ram=GI, storage=GI, nics=2)
    assert unfit_reason(host, Requirements(namespace_uid="a", seed="s", **want)) == reason


@pytest.mark.parametrize(
    ("reserved", "uid", "fits"), [(None, "", True), ("u", "u", True), ("u", "v", False), ("", "", False), ("", "u", False)]
)
def test_a_host_with_data_fits_the_namespace_of_its_uid_alone(reserved: str | None, uid: str, fits: bool) -> None:
    assert (unfit_reason(Candidate(name="h", dirty_for=reserved), Requirements(namespace_uid=uid, seed="s")) is None) == fits


def test_reasons_are_counted_like_the_schedulers() -> None:
    reasons = {"are not x86_64": 5, "have less than 64Gi of memory": 4, "lack label gpu=yes": 1}
    counted = "0/10 hosts are available to this namespace: 5 are not x86_64, 4 have less than 64Gi of memory, 1 lacks label gpu=yes; "
    assert explain(reasons).startswith(counted)
    assert explain({OWN: 1}).startswith("0/1 hosts are available to this namespace: 1 is its own already; ")
    assert explain({}).startswith("no host of the class is available to this namespace: ")


@pytest.mark.parametrize(
    "spec",
    [
        {"hostSelector": {"matchExpressions": [{"key": f"k{n}", "operator": "NotIn", "values": ["a"]} for n in range(MOST_TERMS + 1)]}},
        {"hostSelector": {"matchExpressions": [{"key": "k", "operator": "In", "values": [str(n) for n in range(MOST_VALUES + 1)]}]}},
        {"hostSelector": {"matchLabels": {f"k{n}": "a" for n in range(MOST_TERMS + 1)}}},
        {"requirements": {"resources": {f"example.com/{n}": 1 for n in range(MOST_TERMS + 1)}}},
    ],
)
def test_what_takes_too_long_to_compare_is_refused(spec: dict[str, Any]) -> None:
    assert "use at most" in (too_complex(workload("w", **spec)) or "")


def test_what_is_asked_for_usually_is_compared() -> None:
    some = {"matchExpressions": [{"key": "k", "operator": "In", "values": [str(n) for n in range(MOST_VALUES)]}]}
    assert too_complex(workload("w", hostSelector=some)) is None
    assert too_complex(workload("w")) is None


def test_a_message_repeats_few_values() -> None:
    wanted = {"matchExpressions": [{"key": "k", "operator": "In", "values": [str(n) for n in range(100)]}]}
    assert unfit_reason(Candidate("h"), Requirements("team-a", "s", selector=wanted)) == "do not match k In (0, 1, 2, 3, 4, 5, 6, 7, …)"
