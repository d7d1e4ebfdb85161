"""Check what placements mean: failure domains, spread and anti-affinity as kube-scheduler has
them."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.kinds import FAILURE_DOMAIN
from controllers.scheduler.fit import Candidate, Requirements, explain, unfit_reasons
from controllers.scheduler.index import HostIndex
from controllers.scheduler.placementrules import Placed, Rules, rules_of, spread_keys, topology_keys

DB = {"matchLabels": {"app": "db"}}


def workload(*, app: str = "db", leaving: bool = False, **placement: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"labels": {"app": app}} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {})
    return {"metadata": metadata, "spec": {"placement": placement} if placement else {}}


def spread(skew: int = 1, *, hard: bool = True, key: str = "rack", selector: dict[str, Any] | None = None) -> dict[str, Any]:
    when = "DoNotSchedule" if hard else "ScheduleAnyway"
    return {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": DB if selector is None else selector}


def apart(key: str = "rack", selector: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"required": [{"topologyKey": key, "labelSelector": DB if selector is None else selector}]}


def placed(rack: str, **of: Any) -> Placed:
    return Placed(workload(**of), {"rack": rack})


def fitting(rules: Rules, racks: str = "abc") -> str:
    return "".join(rack for rack in racks if rules.problem({"rack": rack}) is None)


def test_required_failure_domains_leave_no_other_host() -> None:
    rules = rules_of(workload(failureDomains={"required": ["a", "b"]}), [], {})
    problems = [rules.problem(labels) for labels in ({FAILURE_DOMAIN: "b"}, {FAILURE_DOMAIN: "c"}, {})]
    assert problems == [None, "are in another failure domain", "are in another failure domain"]


def test_preferred_failure_domains_come_in_their_order_after_the_simple_field() -> None:
    wanting = workload(failureDomains={"preferred": ["b", "a"]})
    wanting["spec"]["failureDomain"] = "c"
    rules = rules_of(wanting, [], {})
    assert sorted("abcd", key=lambda name: rules.cost({FAILURE_DOMAIN: name})) == ["c", "b", "a", "d"]
    assert rules.cost({}) == rules.cost({FAILURE_DOMAIN: "d"})


def test_the_spread_counts_domains_with_a_host_that_could_be_had_or_with_a_workload() -> None:
    wanting, there = workload(topologySpread=[spread()]), [placed("a"), placed("a"), placed("b")]
    assert fitting(rules_of(wanting, there, {"rack": {"a", "b", "c"}})) == "c"
    assert fitting(rules_of(wanting, there, {"rack": {"a", "b"}})) == "bc"
    assert fitting(rules_of(workload(topologySpread=[spread(2)]), there, {"rack": {"a", "b", "c"}})) == "bc"


def test_the_spread_counts_only_the_selected_that_stay() -> None:
    wanting = workload(topologySpread=[spread()])
    assert fitting(rules_of(wanting, [placed("a", app="web"), placed("b", leaving=True)], {"rack": {"a", "b", "c"}})) == "abc"


def test_a_workload_that_its_own_spread_does_not_select_adds_nothing() -> None:
    wanting = workload(app="web", topologySpread=[spread()])
    assert fitting(rules_of(wanting, [placed("a")], {"rack": {"a", "b"}}), "ab") == "ab"


def test_hosts_without_the_label_do_not_fit_a_required_spread_but_anti_affinity() -> None:
    spreading, keeping = workload(topologySpread=[spread()]), workload(antiAffinity=apart())
    assert rules_of(spreading, [], {"rack": {"a"}}).problem({}) == "lack label rack"
    assert rules_of(keeping, [placed("a")], {}).problem({}) is None


def test_a_spread_that_is_no_must_prefers_the_emptiest() -> None:
    rules = rules_of(workload(topologySpread=[spread(hard=False)]), [placed("a"), placed("a"), placed("b")], {})
    assert fitting(rules) == "abc"
    assert sorted("abc", key=lambda rack: rules.cost({"rack": rack})) == ["c", "b", "a"]
    assert rules.cost({}) > rules.cost({"rack": "a"})


def test_anti_affinity_keeps_apart_in_both_directions() -> None:
    assert fitting(rules_of(workload(antiAffinity=apart()), [placed("a")], {})) == "bc"
    assert fitting(rules_of(workload(), [placed("a", app="web", antiAffinity=apart())], {})) == "bc", "the other one keeps it away"
    assert fitting(rules_of(workload(app="web"), [placed("a", antiAffinity=apart())], {})) == "abc"


def test_a_group_that_keeps_apart_from_all_else_has_its_racks_to_itself() -> None:
    """docs/placement.md promises this to tenants."""
    else_ = {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["ring"]}]}
    ring = partial(workload, app="ring", antiAffinity=apart(selector=else_))
    assert fitting(rules_of(ring(), [placed("a", app="web"), Placed(ring(), {"rack": "b"})], {})) == "bc"
    unlabelled: dict[str, Any] = {"metadata": {}, "spec": {}}
    assert fitting(rules_of(unlabelled, [Placed(ring(), {"rack": "a"})], {})) == "bc", "also a Workload without labels and rules"
    assert fitting(rules_of(ring(), [Placed(unlabelled, {"rack": "a"})], {})) == "bc"


def test_preferred_anti_affinity_adds_weights() -> None:
    terms = [
        {"weight": weight, "topologyKey": "rack", "labelSelector": {"matchLabels": {"app": app}}} for weight, app in ((1, "db"), (5, "web"))
    ]
    rules = rules_of(workload(antiAffinity={"preferred": terms}), [placed("a"), placed("a"), placed("b", app="web")], {})
    assert [rules.cost({"rack": rack}) for rack in "abc"] == [(1,), (5,), (0,)]


def test_a_failure_domain_counts_before_anti_affinity_and_this_before_the_spread() -> None:
    term = {"weight": 1, "topologyKey": "rack", "labelSelector": DB}
    wanting = workload(
        failureDomains={"preferred": ["x"]}, antiAffinity={"preferred": [term]}, topologySpread=[spread(hard=False, selector={})]
    )
    rules = rules_of(wanting, [placed("a"), placed("b", app="web"), placed("b", app="web")], {})
    hosts = [{FAILURE_DOMAIN: "y", "rack": "c"}, {FAILURE_DOMAIN: "x", "rack": "a"}, {FAILURE_DOMAIN: "x", "rack": "b"}]
    assert sorted(hosts, key=rules.cost) == [hosts[2], hosts[1], hosts[0]]


def test_the_labels_that_rules_look_at_are_known() -> None:
    wanting = workload(topologySpread=[spread(), spread(key="row", hard=False)], antiAffinity=apart("chassis"))
    assert topology_keys(wanting) == ("chassis", "rack", "row")
    assert spread_keys(wanting) == {"rack"}
    assert rules_of(workload(), [placed("a", antiAffinity=apart())], {}).keys == ("rack",)


def test_every_constraint_says_how_many_hosts_it_removes() -> None:
    wanting = workload(
        failureDomains={"required": ["x"]}, topologySpread=[spread()], antiAffinity=apart(selector={"matchLabels": {"app": "web"}})
    )
    rules = rules_of(wanting, [placed("a"), placed("b", app="web")], {"rack": {"a", "b", "c"}})
    hosts = [
        Candidate(f"{domain}{rack}{number}", {FAILURE_DOMAIN: domain, "rack": rack})
        for domain, rack, count in (("x", "a", 2), ("x", "b", 1), ("y", "a", 3))
        for number in range(count)
    ]
    assert explain(unfit_reasons(hosts, Requirements("u", "s", rules=rules))).startswith(
        "0/6 hosts are available to this namespace: 3 are in another failure domain, 2 would exceed maxSkew of rack, "
        "1 shares rack with a Workload to be apart from;"
    )


racks = st.sampled_from(["a", "b", "c", "d", ""])


@given(st.lists(racks, max_size=8), st.lists(racks, max_size=6), st.integers(1, 3), st.booleans())
def test_the_index_chooses_a_host_that_keeps_the_skew_by_its_definition(
    hosts: list[str],
    own: list[str],
    skew: int,
    wants_less: bool,
) -> None:
    index = HostIndex()
    for number, rack in enumerate(hosts):
        index.add(Candidate(f"{number}", {"rack": rack} if rack else {}, cpus=8 * (1 + number % 2)))
    wanting = workload(topologySpread=[spread(skew), *([spread(hard=False, selector={})] if wants_less else [])])
    others = [Placed(workload(), {"rack": rack} if rack else {}) for rack in own]
    looking = Requirements("u", "s", rules=Rules(topology_keys(wanting)))
    want = Requirements("u", "s", rules=rules_of(wanting, others, index.domains(looking, spread_keys(wanting))))
    counts = Counter(rack for rack in own if rack)
    domains = {rack for rack in (*hosts, *own) if rack}
    good = {rack for rack in hosts if rack and counts[rack] + 1 - min(counts[one] for one in domains) <= skew}
    chosen = index.best(want)
    assert (chosen is not None) == bool(good)
    if chosen is not None:
        assert chosen.labels["rack"] in good
        assert not wants_less or counts[chosen.labels["rack"]] == min(counts[rack] for rack in good)


@pytest.mark.parametrize("count", [40, 400])
def test_the_work_for_a_choice_grows_with_the_domains_and_not_with_the_hosts(count: int) -> None:
    index = HostIndex()
    for number in range(count):
        index.add(Candidate(f"{number:04}", {"rack": f"r{number % 4}"}, cpus=8))
    wanting = workload(topologySpread=[spread()])
    looking = Requirements("u", "s", rules=Rules(topology_keys(wanting)))
    domains = index.domains(looking, spread_keys(wanting))
    index.best(Requirements("u", "s", rules=rules_of(wanting, [placed("r0")], domains)))
    assert index.scanned <= 8
