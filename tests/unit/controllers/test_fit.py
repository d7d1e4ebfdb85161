"""Best fit: never a host that will not do, never a bigger one than needed, and the same answer each time."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiserver.apis.host import host_name
from controllers.fit import Candidate, Needs, best, candidate, explain, misfit, needs, surplus
from controllers.kinds import FAILURE_DOMAIN
from controllers.quantities import GI
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
    Needs,
    namespace=st.sampled_from(["team-a", "team-b"]),
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


def satisfies(host: Candidate, want: Needs) -> bool:
    """The requirements, said another way."""
    gpu, zone = host.labels.get("nvidia.com/gpu", "0"), host.labels.get("zone")
    selector = want.selector or {}
    return (
        host.dirty_for in (None, want.namespace)
        and ("matchLabels" not in selector or zone == "a")
        and ("matchExpressions" not in selector or zone is not None)
        and want.architecture in ("", host.architecture)
        and host.cpus >= want.cpus
        and host.nics >= want.nics
        and host.ram >= want.ram
        and host.storage >= want.storage
        and (not want.resources or (gpu.isdecimal() and int(gpu) >= 2))
    )


@settings(max_examples=60)
@given(candidates, wants)
def test_the_chosen_host_satisfies_everything_and_none_is_overlooked(hosts: list[Candidate], want: Needs) -> None:
    chosen, reasons = best(hosts, want)
    fitting = [host for host in hosts if satisfies(host, want)]
    assert (chosen is None) == (not fitting)
    if chosen is not None:
        assert chosen in fitting
    assert reasons.total() == len(hosts) - len(fitting)


@settings(max_examples=60)
@given(candidates, wants)
def test_no_fitting_host_is_smaller_in_everything(hosts: list[Candidate], want: Needs) -> None:
    chosen, _ = best(hosts, want)
    if chosen is None:
        return
    here = [host for host in hosts if misfit(host, want) is None]
    if want.failure_domain and any(host.labels.get(FAILURE_DOMAIN) == "a" for host in here):
        here = [host for host in here if host.labels.get(FAILURE_DOMAIN) == "a"]
    assert chosen in here, "the failure domain comes first"
    assert surplus(chosen, want) <= min(surplus(host, want) for host in here) + 1e-6


@settings(max_examples=60)
@given(candidates, wants, st.integers())
def test_the_order_of_hosts_does_not_matter(hosts: list[Candidate], want: Needs, seed: int) -> None:
    shuffled = list(hosts)
    random.Random(seed).shuffle(shuffled)
    assert best(hosts, want)[0] == best(shuffled, want)[0]


def test_equal_hosts_are_spread_over_workloads() -> None:
    hosts = [Candidate(name=host_name(str(number))) for number in range(20)]
    chosen = [best(hosts, Needs(namespace="a", seed=f"w{number}"))[0] for number in range(100)]
    assert len({host.name for host in chosen if host}) > 15


def test_gpus_are_not_wasted_on_those_who_did_not_ask() -> None:
    plain = Candidate(name="plain", cpus=16, nics=2)
    gpu = Candidate(name="gpu", cpus=16, nics=2, labels={"nvidia.com/gpu": "4"}, extras=2.3)
    assert best([gpu, plain], Needs(namespace="a", seed="1"))[0] == plain
    assert best([gpu, plain], Needs(namespace="a", seed="1", resources=(("nvidia.com/gpu", 1, "1"),)))[0] == gpu


def test_a_host_object_as_a_candidate() -> None:
    real = bmh("h1", cpus=32, ram_gib=128)
    host: dict[str, Any] = {
        "metadata": {"name": "uuid"},
        "status": {"report": {"spec": {}, "status": real["status"], "labels": {"nvidia.com/gpu": "3"}}, "dirtyFor": "team-a"},
    }
    found = candidate(host)
    assert (found.name, found.cpus, found.ram, found.storage, found.nics) == ("uuid", 32, 128 * GI, 2**40, 1)
    assert (found.architecture, found.dirty_for, found.extras) == ("x86_64", "team-a", 2.0)


def test_needs_of_a_workload() -> None:
    wl = workload("w", requirements={"ram": "64Gi", "storage": "1T", "cpuCount": 8, "resources": {"gpu": 2}})
    wl["metadata"]["uid"] = "u"
    want = needs(wl)
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
    assert misfit(host, Needs(namespace="a", seed="s", **want)) == reason


def test_reasons_are_counted_like_the_schedulers() -> None:
    reasons = {"are claimed": 5, "have less than 64Gi of memory": 4, "lack label gpu=yes": 1}
    assert explain(10, reasons) == "0/10 hosts fit: 5 are claimed, 4 have less than 64Gi of memory, 1 lacks label gpu=yes"
    assert "no hosts" in explain(0, {})
