"""Check what mutating policies change. tests/conformance compares the answers with
kube-apiserver's."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.reinvocation import Mutators
from apiserver.apis.status import ApiError
from tests.unit.apiserver.admission.policies.given import MAPS, Cluster, binding, changing, mutating
from tests.unit.apiserver.admission.writes import thing, write

if TYPE_CHECKING:
    from apiserver.admission.policies.mutating import MutatingPolicies

ADDS = "Object{spec: Object.spec{size: object.spec.size + 1}}"
NOPE = "Object{spec: Object.spec{color: object.spec.nope}}"
RED = "[JSONPatch{op: 'add', path: '/spec/color', value: 'red'}]"
CHECKS = "apiserver_mutating_admission_policy_check_total"

FAILURES = "metal3_workloads_admission_evaluation_failures_total"


def checks(plugin: MutatingPolicies) -> dict[tuple[str, str, str], float]:
    """Return the counted checks: policy, binding, error type."""
    samples = [sample for metric in plugin.metrics.collect() for sample in metric.samples if sample.name == CHECKS]
    return {tuple(sample.labels.values()): sample.value for sample in samples}  # type: ignore[misc] # the labels of one metric are as many as its type says


async def admitted(plugin: MutatingPolicies, operation: str = "CREATE", **fields: Any) -> Any:
    """Return the object after admission."""
    return await Mutators(plugin).admit(write(operation, **fields))


async def refused(plugin: MutatingPolicies, **fields: Any) -> ApiError:
    """Return the error of a write."""
    with pytest.raises(ApiError) as caught:
        await admitted(plugin, **fields)
    return caught.value


async def test_mutations_are_applied_in_order() -> None:
    plugin = changing(mutating(ADDS, RED, ADDS), binding())
    new = thing(size=1)
    assert await admitted(plugin, new=new) == thing(size=3, color="red")
    assert new == thing(size=1)
    assert checks(plugin) == {("p", "b", "no_error"): 3}


async def test_defaults_are_filled_between_mutations() -> None:
    gone = "[JSONPatch{op: 'remove', path: '/spec/size'}]"
    assert (await admitted(changing(mutating(gone, ADDS), binding()), new=thing(size=9)))["spec"] == {"size": 2}


async def test_nothing_passes_before_the_policies_are_known() -> None:
    plugin = changing()
    plugin.policies.known = False
    assert (await refused(plugin)).code == 503


async def test_deletions_are_not_mutated() -> None:
    plugin = changing(mutating(ADDS), binding())
    assert await admitted(plugin, "DELETE") is None
    assert checks(plugin) == {}


async def test_policies_are_selected_by_the_object_before_all_of_them() -> None:
    labels = mutating("Object{metadata: Object.metadata{labels: {'a': 'b'}}}", name="a")
    selecting = mutating(ADDS, name="z")
    selecting["spec"]["matchConstraints"] = {**selecting["spec"]["matchConstraints"], "objectSelector": {"matchLabels": {"a": "b"}}}
    plugin = changing(labels, binding(of="a", name="a"), selecting, binding(of="z", name="z"))
    assert (await admitted(plugin, new=thing(size=1)))["spec"] == {"size": 1}
    assert (await admitted(plugin, new=thing(labels={"a": "b"}, size=1)))["spec"] == {"size": 2}


async def test_match_conditions_see_earlier_mutations() -> None:
    small = [{"name": "small", "expression": "object.spec.size < 3"}]
    plugin = changing(*(one for name in "abc" for one in (mutating(ADDS, name=name, matchConditions=small), binding(of=name, name=name))))
    assert (await admitted(plugin, new=thing(size=1)))["spec"] == {"size": 3}


@pytest.mark.parametrize(("reinvocation", "size"), [("Never", 2), ("IfNeeded", 3)])
async def test_policies_are_invoked_again_if_they_want_it(reinvocation: str, size: int) -> None:
    assert (await admitted(changing(mutating(ADDS, reinvocationPolicy=reinvocation), binding())))["spec"]["size"] == size


async def test_each_parameter_is_an_invocation() -> None:
    cluster = Cluster()
    cluster.objects["n"] = [{"metadata": {"name": one}, "data": {"by": by}} for one, by in (("a", 2), ("b", 5))]
    adds = "Object{spec: Object.spec{size: object.spec.size + params.data.by}}"
    refer: dict[str, Any] = {"paramRef": {"selector": {}}}
    plugin = changing(mutating(adds, **MAPS), binding(**refer), cluster=cluster)
    assert (await admitted(plugin))["spec"]["size"] == 8


CANNOT: dict[str, tuple[dict[str, Any], str, str]] = {
    "no key": (mutating(NOPE), f"expression '{NOPE}' resulted in error: no such key: nope", "invalid_error"),
    "no function": (mutating("object.later()"), "compilation error: compilation failed", "compile_error"),
    "condition": (
        mutating(ADDS, matchConditions=[{"name": "c", "expression": "object.nope"}]),
        "expression 'object.nope' resulted in error: no such key: nope",
        "invalid_error",
    ),
    "atomic": (mutating("Object{spec: Object.spec{size: 'x'}}"), "error applying patch: failed to convert", "invalid_error"),
    "patch": (mutating("[JSONPatch{op: 'remove', path: '/nope'}]"), "JSON Patch: remove operation", "invalid_error"),
    "no object": (mutating("object.spec"), "unsupported return type", "invalid_error"),
    "cost": (
        mutating("Object{spec: Object.spec{size: lists.range(100000).map(x, lists.range(100000).size()).size()}}"),
        "expression '",
        "invalid_error",
    ),
}


@pytest.mark.parametrize(("broken", "said", "kind"), CANNOT.values(), ids=CANNOT)
async def test_what_cannot_be_evaluated_follows_the_failure_policy(
    broken: dict[str, Any], said: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    closed = changing(broken, binding())
    error = await refused(closed)
    assert (error.code, error.reason) == (403, "Invalid")
    assert error.message.startswith(f"policy 'p' with binding 'b' denied request: {said}")
    assert error.details["causes"] == [{"message": error.message}]
    assert checks(closed)["p", "b", kind] == 1
    caplog.set_level(logging.WARNING)
    opened = changing({**broken, "spec": {**broken["spec"], "failurePolicy": "Ignore"}}, binding())
    new = thing(size=4)
    assert await admitted(opened, new=new) is new
    assert checks(opened)["p", "b", kind] == 1
    assert "failing open: policy p with binding b" in caplog.text
    for plugin, failure in ((closed, "Fail"), (opened, "Ignore")):
        samples = [sample for metric in plugin.evaluations.collect() for sample in metric.samples if sample.name == FAILURES]
        assert {tuple(sample.labels.values()) for sample in samples} == {("p", "MutatingAdmissionPolicy", failure)}


async def test_what_is_not_configured_is_refused_first() -> None:
    missing: dict[str, Any] = {"paramRef": {"name": "nope", "parameterNotFoundAction": "Deny"}}
    plugin = changing(mutating(NOPE, name="a"), binding(of="a", name="a"), mutating(ADDS, name="z", **MAPS), binding(of="z", **missing))
    error = await refused(plugin)
    assert (error.code, error.reason) == (403, "Forbidden")
    assert error.message.startswith("policy 'z' with binding 'b' denied request: failed to configure binding: no params found")
    assert len(error.details["causes"]) == 2
    broken = changing({"metadata": {"name": "p"}, "spec": {"mutations": [{"patchType": "Later"}]}}, binding())
    assert (await refused(broken)).message == 'policy "p" denied request: failed to configure policy: it cannot be read by this server'


async def test_a_policy_cannot_write_what_belongs_to_the_server() -> None:
    sets = "[JSONPatch{op: 'add', path: '/metadata/uid', value: 'mine'}, JSONPatch{op: 'add', path: '/status', value: {'a': 'b'}}]"
    assert await admitted(changing(mutating(sets), binding()), new=thing(size=1)) == thing(size=1)
    for path in ("/metadata/name", "/kind", "/apiVersion"):
        patch = f"[JSONPatch{{op: 'replace', path: '{path}', value: 'other'}}]"
        assert (await refused(changing(mutating(patch), binding()))).code == 500


async def test_invalid_results_are_refused() -> None:
    patch = "[JSONPatch{op: 'replace', path: '/spec/size', value: 'x'}]"
    assert (await refused(changing(mutating(patch), binding()))).code == 422


async def test_an_expensive_mutation_does_not_hold_the_event_loop() -> None:
    plugin = changing(mutating("Object{spec: Object.spec{size: lists.range(50000).map(x, x + 1).size()}}"), binding())
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    try:
        assert (await admitted(plugin))["spec"]["size"] == 50000
    finally:
        task.cancel()
        plugin.runner.close()
    assert turns > 10


async def test_others_have_turns_between_mutations() -> None:
    turns, plugin = 0, changing(mutating(*[ADDS] * 8), binding())

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await admitted(plugin)
    task.cancel()
    assert turns >= 8
