"""Cover mutating and validating webhooks: which ones are called, in which order, and what becomes
of their answers."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from apiserver.admission.caller import CallFailed
from apiserver.admission.mutating import MutatingWebhooks
from apiserver.admission.reinvocation import Mutators
from apiserver.admission.validating import ValidatingWebhooks
from apiserver.apis.status import ApiError
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context
from tests.unit.apiserver.admission.writes import (
    AWAY,
    THINGS,
    USER,
    Answering,
    allowing,
    configuration,
    configurations,
    denying,
    dispatcher,
    patching,
    thing,
    write,
)

if TYPE_CHECKING:
    from apiserver.admission.configurations import Configurations

RED = {"op": "add", "path": "/spec/color", "value": "red"}


class Namespaces:
    """Return one namespace, with a label."""

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        return {"metadata": {"name": "n", "labels": {"team": "a"}}} if name == "n" else None


async def mutate(attributes: Attributes, given: Configurations, caller: Answering) -> Any:
    plugin = Mutators(MutatingWebhooks(dispatcher(given, Namespaces(), caller, mutating=True)))
    return await plugin.admit(attributes)


async def validate(attributes: Attributes, given: Configurations, caller: Answering) -> Any:
    plugin = ValidatingWebhooks(dispatcher(given, Namespaces(), caller, mutating=False))
    return await plugin.admit(attributes)


async def test_nothing_passes_before_the_webhooks_are_known() -> None:
    given = configurations()
    given.known = False
    for admit in (mutate, validate):
        with pytest.raises(ApiError) as caught:
            await admit(write(), given, Answering())
        assert caught.value.code == 503


async def test_patches_add_up_in_order_of_the_configurations() -> None:
    given = configurations(configuration("b", {"name": "second"}), configuration("a", {"name": "first"}))
    bigger = {"op": "replace", "path": "/spec/size", "value": 2}
    caller = Answering(first=patching(RED), second=patching({"op": "test", "path": "/spec/color", "value": "red"}, bigger))
    attributes = write()
    result = await mutate(attributes, given, caller)
    assert result["spec"] == {"size": 2, "color": "red"}
    assert attributes.new == thing(), "what was given is not changed"
    assert [name for name, _ in caller.asked] == ["first", "second"]
    assert caller.asked[1][1]["object"]["spec"]["color"] == "red"
    annotations, details = attributes.context.annotations, attributes.context.details
    assert json.loads(annotations["mutation.webhook.admission.k8s.io/round_0_index_1"]) == {
        "configuration": "b",
        "webhook": "second",
        "mutated": True,
    }
    assert json.loads(details["patch.webhook.admission.k8s.io/round_0_index_0"])["patch"] == [RED]
    assert "red" not in json.dumps(annotations), "what quotes objects is kept apart"


async def test_webhooks_with_if_needed_are_called_again_after_a_later_change() -> None:
    webhooks = [
        {"name": "eager", "reinvocationPolicy": "IfNeeded"},
        {"name": "once"},
        {"name": "changer", "reinvocationPolicy": "IfNeeded"},
    ]
    caller = Answering(eager=allowing(), once=allowing(), changer=patching(RED))
    await mutate(write(), configurations(configuration("c", *webhooks)), caller)
    assert [name for name, _ in caller.asked] == ["eager", "once", "changer", "eager"]
    caller = Answering(eager=allowing(), once=allowing(), changer=allowing())
    await mutate(write(), configurations(configuration("c", *webhooks)), caller)
    assert [name for name, _ in caller.asked] == ["eager", "once", "changer"]


async def test_webhooks_cannot_change_system_metadata() -> None:
    patch = patching(
        {"op": "replace", "path": "/metadata/uid", "value": "forged"},
        {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}},
        {"op": "add", "path": "/status", "value": {"forged": True}},
        {"op": "add", "path": "/nonsense", "value": 1},
    )
    result = await mutate(write(), configurations(configuration("c", {"name": "w"})), Answering(w=patch))
    assert result == thing(labels={"a": "b"}), "normalized, with the metadata that is a client's to write"
    updated = await mutate(write("UPDATE"), configurations(configuration("c", {"name": "w"})), Answering(w=patch))
    assert (updated["metadata"]["uid"], updated["metadata"]["labels"], "status" in updated) == ("uid-x", {"a": "b"}, False)


async def test_status_is_all_that_a_write_of_status_changes() -> None:
    new = {**thing(), "status": {"phase": "old"}}
    patch = patching(RED, {"op": "replace", "path": "/status/phase", "value": "new"})
    attributes = write("UPDATE", THINGS, "status", new=new)
    result = await mutate(attributes, configurations(configuration("c", {"name": "w"})), Answering(w=patch))
    assert (result["spec"], result["status"]) == ({"size": 1}, {"phase": "new"})


@pytest.mark.parametrize(
    ("operation", "code", "said"),
    [
        ({"op": "replace", "path": "/metadata/name", "value": "y"}, 500, "metadata.name"),
        ({"op": "replace", "path": "/metadata/namespace", "value": "y"}, 500, "metadata.namespace"),
        ({"op": "replace", "path": "/spec/size", "value": "big"}, 422, "spec.size"),
        ({"op": "add", "path": "/metadata/labels", "value": {"a b": "c"}}, 422, "metadata.labels"),
        ({"op": "replace", "path": "/none/none", "value": 1}, 500, 'admission webhook "w" cannot be applied'),
        ({"op": "replace", "path": "", "value": 1}, 500, "leaves no object"),
        ({"op": "jump", "path": "/spec"}, 500, "cannot be applied"),
    ],
)
async def test_patches_that_are_refused(operation: dict[str, Any], code: int, said: str) -> None:
    with pytest.raises(ApiError, match=said) as caught:
        await mutate(write(), configurations(configuration("c", {"name": "w"})), Answering(w=patching(operation)))
    assert caught.value.code == code


async def test_a_deletion_cannot_be_mutated() -> None:
    given = configurations(configuration("c", {"name": "w"}))
    assert await mutate(write("DELETE"), given, Answering(w=allowing())) is None
    with pytest.raises(ApiError, match="not supported for this operation"):
        await mutate(write("DELETE"), given, Answering(w=patching(RED)))


async def test_validating_webhooks_are_asked_at_once_and_the_first_refusal_is_reported() -> None:
    given = configurations(configuration("c", {"name": "a"}, {"name": "b"}, {"name": "c"}))
    caller = Answering(a=allowing(), b=denying(message="not b", code=403, reason="Forbidden"), c=denying(message="not c"))
    with pytest.raises(ApiError, match='admission webhook "b" denied the request: not b') as caught:
        await validate(write(), given, caller)
    assert (caught.value.code, caught.value.reason, caller.together) == (403, "Forbidden", 3)


async def test_warnings_and_annotations_are_passed_on() -> None:
    attributes = write()
    caller = Answering(w=allowing(warnings=["mind the gap"], auditAnnotations={"key": "value"}))
    for admit in (mutate, validate):
        assert await admit(attributes, configurations(configuration("c", {"name": "w"})), caller) is attributes.new
    assert attributes.context.warnings == ["mind the gap"] * 2
    assert attributes.context.annotations["w/key"] == "value"


@pytest.mark.parametrize("admit", [mutate, validate])
async def test_failures_are_decided_by_the_policy(admit: Any) -> None:
    attributes = write()
    with pytest.raises(ApiError, match='failed calling webhook "w": failed to call webhook: it is away') as caught:
        await admit(attributes, configurations(configuration("c", {"name": "w"})), Answering(w=AWAY))
    assert (caught.value.code, caught.value.reason) == (500, "InternalError")
    given = configurations(configuration("c", {"name": "w", "failurePolicy": "Ignore"}))
    assert await admit(attributes, given, Answering(w=AWAY)) is attributes.new
    assert [key for key, name in attributes.context.annotations.items() if name == "w" and key.startswith("failed-open.")]
    assert await admit(attributes, given, Answering(w=allowing(uid="forged"))) is attributes.new
    with pytest.raises(ApiError, match="denied"):
        await admit(attributes, given, Answering(w=denying()))


@pytest.mark.parametrize("admit", [mutate, validate])
async def test_dry_runs_ask_those_without_side_effects_only(admit: Any) -> None:
    attributes = write(context=Context(USER, dry_run=True))
    caller = Answering(w=allowing())
    await admit(attributes, configurations(configuration("c", {"name": "w", "sideEffects": "NoneOnDryRun"})), caller)
    assert caller.asked[0][1]["dryRun"] is True
    given = configurations(configuration("c", {"name": "w", "sideEffects": "Some", "failurePolicy": "Ignore"}))
    with pytest.raises(ApiError, match='admission webhook "w" does not support dry run') as caught:
        await admit(attributes, given, caller)
    assert caught.value.code == 400


@pytest.mark.parametrize(
    ("webhook", "asked"),
    [
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "b"}}}, False),
        ({"objectSelector": {"matchLabels": {"a": "b"}}}, False),
        ({"matchConditions": [{"name": "m", "expression": "request.userInfo.username == 'alice'"}]}, True),
        ({"matchConditions": [{"name": "m", "expression": "object.spec.size > 1"}]}, False),
        ({"matchConditions": [{"name": "m", "expression": "object.none"}], "failurePolicy": "Ignore"}, False),
        ({"matchConditions": [{"name": "a", "expression": "object.none"}, {"name": "b", "expression": "false"}]}, False),
        ({"matchConditions": [{"name": "m", "expression": "authorizer.requestResource.check('get').allowed()"}]}, True),
        ({"matchConditions": [{"name": "m", "expression": "quantity('1Gi').isGreaterThan(quantity('1G'))"}]}, True),
        ({"rules": []}, False),
    ],
)
async def test_which_webhooks_are_called(webhook: dict[str, Any], asked: bool) -> None:
    caller = Answering(w=allowing())
    await validate(write(), configurations(configuration("c", {"name": "w", **webhook})), caller)
    assert bool(caller.asked) is asked


CONDITIONS = "apiserver_admission_match_condition_"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("object.none", "expression 'object.none' resulted in error: no such key: none"),
        ("object.later()", "compilation error: compilation failed: undeclared reference to 'later'"),
        ("params.x", "compilation error: compilation failed: undeclared reference to 'params'"),
        ("lists.range(100000).all(x, lists.range(100000).all(y, true))", "operation cancelled: actual cost limit exceeded"),
    ],
)
async def test_conditions_that_cannot_be_decided_fail_closed(expression: str, said: str) -> None:
    given = configurations(configuration("c", {"name": "w", "matchConditions": [{"name": "m", "expression": expression}]}))
    calling, registry = dispatcher(given, Namespaces(), Answering(), mutating=False), CollectorRegistry()
    registry.register(calling.evaluations)
    with pytest.raises(ApiError) as caught:
        await ValidatingWebhooks(calling).admit(write())
    assert caught.value.code == 403
    assert 'webhook "w" cannot be skipped or called: ' in caught.value.message
    assert said in caught.value.message
    labels = {"name": "w", "kind": "webhook", "type": "validating", "operation": "CREATE"}
    assert registry.get_sample_value(f"{CONDITIONS}evaluation_errors_total", labels) == 1
    assert registry.get_sample_value(f"{CONDITIONS}evaluation_seconds_count", labels) == 1
    failed = {"name": "w", "kind": "webhook", "failure_policy": "Fail"}
    assert registry.get_sample_value("metal3_workloads_admission_evaluation_failures_total", failed) == 1


async def test_conditions_of_a_large_object_do_not_hold_the_event_loop() -> None:
    expression = "object.spec.values.all(k, v, v.contains(object.spec.part))"
    new = {**thing(), "spec": {"values": {f"key{index}": "ab" * 100 for index in range(2000)}, "part": "ab" * 50}}
    given = configurations(configuration("c", {"name": "w", "matchConditions": [{"name": "m", "expression": expression}]}))
    caller = Answering(w=allowing())
    calling = dispatcher(given, Namespaces(), caller, mutating=False)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    try:
        await ValidatingWebhooks(calling).admit(write(new=new))
    finally:
        task.cancel()
        calling.runner.close()
    assert len(caller.asked) == 1
    assert turns > 10


async def test_a_missing_namespace_is_reported() -> None:
    given = configurations(configuration("c", {"name": "w", "namespaceSelector": {"matchLabels": {"team": "a"}}}))
    plugin = ValidatingWebhooks(dispatcher(given, Namespaces(), Answering(), mutating=False))
    with pytest.raises(ApiError, match='namespaces "gone" not found'):
        await plugin.admit(Attributes("CREATE", Context(USER), THINGS, "gone", "x", thing(), None))


@pytest.mark.parametrize(
    ("answer", "policy", "rejected", "code", "error_type"),
    [
        (allowing(), "Fail", "false", "200", None),
        (denying(code=418, message="no"), "Fail", "true", "418", "no_error"),
        (CallFailed("of the test"), "Fail", "true", "500", "calling_webhook_error"),
        (CallFailed("of the test"), "Ignore", "false", "500", None),
    ],
)
@pytest.mark.parametrize("kind", ["admit", "validating"])
async def test_calls_are_measured(
    kind: str,
    answer: Any,
    policy: str,
    rejected: str,
    code: str,
    error_type: str | None,
) -> None:
    given, registry = configurations(configuration("c", {"name": "w", "failurePolicy": policy})), CollectorRegistry()
    calling = dispatcher(given, Namespaces(), Answering(w=answer), mutating=kind == "admit")
    registry.register(calling.metrics)
    plugin = Mutators(MutatingWebhooks(calling)) if kind == "admit" else ValidatingWebhooks(calling)
    with suppress(ApiError):
        await plugin.admit(write())
    called = {"name": "w", "type": kind, "operation": "CREATE", "rejected": rejected}
    value = registry.get_sample_value
    assert value("apiserver_admission_webhook_request_total", {**called, "code": code}) == 1
    assert value("apiserver_admission_webhook_admission_duration_seconds_count", called) == 1
    refused = {"name": "w", "type": kind, "operation": "CREATE", "error_type": str(error_type), "rejection_code": code}
    assert value("apiserver_admission_webhook_rejection_count", refused) == (1 if error_type else None)
    assert value("apiserver_admission_webhook_fail_open_count", {"name": "w", "type": kind}) == (1 if policy == "Ignore" else None)


async def test_configurations_come_change_and_go() -> None:
    given = configurations(configuration("c", {"name": "w"}))
    given.changed(configuration("c", {"name": "w"}), configuration("c", {"name": "v"}, {"name": "w"}))
    assert [webhook.name for webhook in given.webhooks] == ["v", "w"]
    given.changed(configuration("c"), None)
    assert given.webhooks == ()


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        ({"clientConfig": {"url": "http://h/"}}, "https URL"),
        ({"clientConfig": {}}, "https URL"),
        ({"clientConfig": {"url": "https://h/", "caBundle": "%"}}, "caBundle is not PEM"),
        ({"rules": [{"operations": 3}]}, "rules cannot be read"),
        ({"objectSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}}, "rules cannot be read"),
        ({"admissionReviewVersions": ["v9"]}, "known AdmissionReview versions"),
    ],
)
async def test_what_cannot_be_called_fails_by_its_policy(webhook: dict[str, Any], said: str) -> None:
    with pytest.raises(ApiError, match=said):
        await validate(write(), configurations(configuration("c", {"name": "w", **webhook})), Answering())
    await validate(write(), configurations(configuration("c", {"name": "w", **webhook, "failurePolicy": "Ignore"})), Answering())


def test_services_are_reached_by_their_names() -> None:
    service = {"name": "s", "namespace": "ns", "path": "/p", "port": 8443}
    given = configuration(
        "c",
        {"name": "a", "clientConfig": {"service": service}},
        {"name": "b", "clientConfig": {"service": {"name": "s", "namespace": "ns"}}},
    )
    assert [webhook.url for webhook in configurations(given).webhooks] == ["https://s.ns.svc:8443/p", "https://s.ns.svc:443/"]
