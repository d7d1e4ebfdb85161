"""Check which amounts of machines fit into quotas, and how they are written."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from apiserver.admission.machinelimits import amount, limits, refusal, used_of

HOSTS, CPU, MEMORY = (f"workload.metal3.io/{resource}" for resource in ("hosts", "cpu", "memory"))
METAL = "metal.workloadclass.workload.metal3.io/hosts"


def quota(name: str, hard: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": {"hard": hard, "used": {}}}


def test_only_names_of_machines_in_quotas_without_scopes_are_limits() -> None:
    plain = quota("b", {METAL: "2", CPU: "1k", "requests.cpu": "1", "count/workloads.workload.metal3.io": "1"})
    strange = quota("c", {".workloadclass.workload.metal3.io/hosts": "0", "other.io/hosts": "0", "workload.metal3.io/disks": "0"})
    scoped = quota("d", {CPU: "1"}, scopes=["NotTerminating"])
    selected = quota("e", {CPU: "1"}, scopeSelector={"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]})
    uncounted = {"metadata": {"name": "f"}, "spec": {"hard": {CPU: "1"}}}
    found = limits([plain, strange, scoped, selected, uncounted, quota("a", {MEMORY: "1Gi"})])
    assert list(found) == ["a", "b"]
    assert found == {"a": {MEMORY: 2**30}, "b": {METAL: 2, CPU: 1000}}


def test_a_refusal_names_all_that_is_exceeded_in_the_first_quota() -> None:
    found = {"q": {CPU: 40, METAL: 5, MEMORY: 64 * 2**30}, "r": {CPU: 1}}
    used, requested = Counter({CPU: 32, METAL: 1, MEMORY: 2**35}), Counter({CPU: 16, METAL: 1, MEMORY: 3 * 2**34})
    asked = f"{CPU}=16,{MEMORY}=48Gi"
    assert refusal(found, used, requested) == (
        f"exceeded quota: q, requested: {asked}, used: {CPU}=32,{MEMORY}=32Gi, limited: {CPU}=40,{MEMORY}=64Gi"
    )
    assert refusal(found, used, Counter({METAL: 4})) is None


def test_what_a_write_does_not_add_is_no_reason_to_refuse_it() -> None:
    assert refusal({"q": {CPU: 1, METAL: 1}}, Counter({CPU: 9, METAL: 1}), Counter({METAL: 0, CPU: -1})) is None


@pytest.mark.parametrize(
    ("name", "number", "text"),
    [(MEMORY, 0, "0"), (MEMORY, 3 * 2**29, "1536Mi"), (MEMORY, 2**70, "1024Ei"), (MEMORY, 1000, "1000"), (CPU, 1024, "1024")],
)
def test_amounts(name: str, number: int, text: str) -> None:
    assert amount(name, number) == text


def test_the_status_has_the_use_of_what_is_limited() -> None:
    assert used_of(quota("q", {METAL: "2", MEMORY: "1Ti", "pods": "3"}), Counter({MEMORY: 2**31, CPU: 3})) == {METAL: "0", MEMORY: "2Gi"}
    assert used_of(quota("q", {METAL: "2"}, scopes=["BestEffort"]), Counter({METAL: 1})) == {}
