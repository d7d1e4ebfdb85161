"""Check what follows from policies. tests/conformance compares the answers with kube-apiserver's."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context
from tests.unit.apiserver.admission.policies.given import MAPS, Cluster, binding, enforcing, policy
from tests.unit.apiserver.admission.writes import CLUSTER_THINGS, USER, thing, write

if TYPE_CHECKING:
    from apiserver.admission.policies.validating import ValidatingPolicies

CHECKS = "apiserver_validating_admission_policy_check_total"

FAILURES = "metal3_workloads_admission_evaluation_failures_total"


def checks(plugin: ValidatingPolicies) -> dict[tuple[str, str, str, str], float]:
    """Return the counted checks: policy, binding, error type, action."""
    samples = [sample for metric in plugin.metrics.collect() for sample in metric.samples if sample.name == CHECKS]
    return {tuple(sample.labels.values()): sample.value for sample in samples}  # type: ignore[misc] # the labels of one metric are as many as its type says


async def refused(plugin: ValidatingPolicies, **fields: Any) -> ApiError:
    """Return the error of a write."""
    with pytest.raises(ApiError) as caught:
        await plugin.admit(write(**fields))
    return caught.value


async def test_a_violation_is_refused() -> None:
    plugin = enforcing(policy("object.spec.size > 5"), binding())
    error = await refused(plugin)
    why = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed expression: object.spec.size > 5"
    assert (error.code, error.reason, error.message) == (422, "Invalid", f'things.g "x" is forbidden: {why}')
    assert error.details["causes"] == [{"message": why}]
    assert checks(plugin) == {("p", "b", "invalid_error", "deny"): 1}
    new = thing(size=6)
    assert await plugin.admit(write(new=new)) is new


async def test_nothing_passes_before_the_policies_are_known() -> None:
    plugin = enforcing()
    plugin.policies.known = False
    assert (await refused(plugin)).code == 503


async def test_a_policy_without_a_binding_does_nothing() -> None:
    plugin = enforcing(policy("false"), binding(of="another"))
    assert await plugin.admit(write()) is not None


async def test_warnings_and_the_audit_log() -> None:
    context = Context(USER)
    await enforcing(policy("true", "false"), binding("Warn", "Audit")).admit(write(context=context))
    assert context.warnings == ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: false"]
    (failure,) = json.loads(context.annotations["validation.policy.admission.k8s.io/validation_failure"])
    wanted = {"message": "failed expression: false", "policy": "p", "binding": "b", "expressionIndex": 1}
    assert failure == {**wanted, "validationActions": ["Warn", "Audit"]}


async def test_audit_annotations() -> None:
    notes = [
        {"key": "name", "valueExpression": "' ' + object.metadata.name + params.data.a"},
        {"key": "none", "valueExpression": "null"},
        {"key": "long", "valueExpression": "lists.range(20000).map(i, 'a').join()"},
    ]
    cluster = Cluster()
    cluster.objects["n"] = [{"metadata": {"name": one}, "data": {"a": one}} for one in ("a", "b")]
    context = Context(USER)
    refer: dict[str, Any] = {"paramRef": {"selector": {}, "parameterNotFoundAction": "Deny"}}
    plugin = enforcing(policy("true", auditAnnotations=notes, **MAPS), binding(**refer), cluster=cluster)
    await plugin.admit(write(context=context))
    assert context.annotations == {"p/name": "xa, xb", "p/long": "a" * 10240}


NOPE = "object.nope"
COSTS = "lists.range(100000).all(x, lists.range(100000).all(y, true))"
CANNOT: dict[str, tuple[dict[str, Any], str, str]] = {
    "no key": (policy(NOPE), f"expression '{NOPE}' resulted in error: no such key: nope", "invalid_error"),
    "no variable": (policy("nope"), "compilation error: compilation failed: undeclared reference to 'nope'", "compile_error"),
    "no function": (policy("object.later()"), "compilation error: compilation failed: undeclared reference to 'later'", "compile_error"),
    "condition": (
        policy("true", matchConditions=[{"name": "c", "expression": NOPE}]),
        f"expression '{NOPE}' resulted in error: no such key: nope",
        "invalid_error",
    ),
    "variable": (
        policy("variables.v", variables=[{"name": "v", "expression": NOPE}]),
        "expression 'variables.v' resulted in error: composited variable \"v\" fails to evaluate: no such key: nope",
        "invalid_error",
    ),
    "budget": (
        policy(*["lists.range(900000).size() > 0"] * 12),
        "validation failed due to running out of cost budget, no further validation rules will be run",
        "out_of_budget",
    ),
    "cost": (policy(COSTS), f"expression '{COSTS}' resulted in error: operation cancelled: actual cost limit exceeded", "invalid_error"),
}


@pytest.mark.parametrize(("broken", "said", "kind"), CANNOT.values(), ids=CANNOT)
async def test_what_cannot_be_evaluated_follows_the_failure_policy(
    broken: dict[str, Any], said: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    closed = enforcing(broken, binding())
    denied = "ValidatingAdmissionPolicy 'p' with binding 'b' denied request"
    assert (await refused(closed)).message.startswith(f'things.g "x" is forbidden: {denied}: {said}')
    assert checks(closed)["p", "b", kind, "deny"] >= 1
    caplog.set_level(logging.WARNING)
    opened = enforcing({**broken, "spec": {**broken["spec"], "failurePolicy": "Ignore"}}, binding())
    assert await opened.admit(write()) is not None
    assert checks(opened)["p", "b", kind, "allow"] >= 1
    assert "failing open: policy p with binding b" in caplog.text
    for plugin, failure in ((closed, "Fail"), (opened, "Ignore")):
        samples = [sample for metric in plugin.evaluations.collect() for sample in metric.samples if sample.name == FAILURES]
        assert {tuple(sample.labels.values()) for sample in samples} == {("p", "ValidatingAdmissionPolicy", failure)}


MISSING: dict[str, Any] = {"name": "nope", "parameterNotFoundAction": "Deny"}
BAD: dict[str, Any] = {"objectSelector": {"matchExpressions": [{"key": "a", "operator": "?"}]}}


@pytest.mark.parametrize("open_", [False, True])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"spec": {"matchConstraints": {"resourceRules": [3]}}}, "configure policy: it cannot be read by this server"),
        ({"binding": {"matchResources": BAD}}, "configure binding: it cannot be read by this server"),
        ({"spec": MAPS, "binding": {"paramRef": MISSING}}, "configure binding: no params found for policy binding with `Deny`"),
        ({"spec": MAPS, "binding": {"paramRef": MISSING}, "error": "paramKind not known"}, "configure binding: paramKind not known"),
    ],
)
async def test_what_is_not_configured_follows_the_failure_policy(changes: dict[str, Any], said: str, open_: bool) -> None:
    cluster = Cluster()
    cluster.error = changes.get("error", "")
    failing = {"failurePolicy": "Ignore"} if open_ else {}
    plugin = enforcing(policy("true", **changes.get("spec", {}), **failing), binding(**changes.get("binding", {})), cluster=cluster)
    if open_:
        assert await plugin.admit(write()) is not None
    else:
        assert said in (await refused(plugin)).message
    assert [(kind, action) for _, _, kind, action in checks(plugin)] == [("invalid_error", "allow" if open_ else "deny")]


async def test_parameters() -> None:
    cluster = Cluster()
    cluster.objects["n"] = [{"metadata": {"name": "c"}, "data": {"most": "3"}}]
    refer: dict[str, Any] = {"paramRef": {"name": "c", "parameterNotFoundAction": "Deny"}}
    plugin = enforcing(policy("object.spec.size <= int(params.data.most)", **MAPS), binding(**refer), cluster=cluster)
    assert await plugin.admit(write()) is not None
    assert (await refused(plugin, new=thing(size=4))).code == 422
    assert "cluster-scoped resources" in (await refused(plugin, resource=CLUSTER_THINGS)).message


async def test_the_authorizer_is_asked_once_for_each_question() -> None:
    cluster = Cluster()
    check = "authorizer.group('').resource('secrets').check('get').allowed()"
    plugin = enforcing(policy(check, f"{check} && authorizer.requestResource.check('create').allowed()"), binding(), cluster=cluster)
    assert await plugin.admit(write()) is not None
    assert [(one.resource, one.verb, one.name) for one in cluster.asked] == [("secrets", "get", ""), ("things", "create", "x")]
    cluster.allowed = False
    assert (await refused(plugin)).code == 422


async def test_deletions_have_no_object() -> None:
    plugin = enforcing(policy("object == null && oldObject.metadata.name == 'x' && request.operation == 'DELETE'"), binding())
    assert await plugin.admit(write("DELETE")) is None
    assert (await refused(plugin)).code == 422


async def test_a_write_to_a_missing_namespace_is_refused() -> None:
    attributes = write()._replace(namespace="missing")
    with pytest.raises(ApiError, match="not found"):
        await enforcing(policy("true"), binding()).admit(attributes)


async def test_a_large_object_does_not_hold_the_event_loop() -> None:
    new = thing(size=1)
    new["spec"]["values"] = {f"key{index}": "x" * 100 for index in range(6000)}
    plugin = enforcing(policy("object.spec.values.all(k, v, v.size() == 100 && k.startsWith('key'))"), binding())
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    try:
        assert await plugin.admit(write(new=new)) is new
    finally:
        task.cancel()
        plugin.runner.close()
    assert turns > 10
