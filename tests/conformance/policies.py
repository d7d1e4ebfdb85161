"""Define admission policies of the control plane, which both servers enforce on Gadgets.

A policy concerns only objects with its label, so that other cases are not affected.
"""

from __future__ import annotations

from typing import Any

from apiserver.admission.policies.definitions import MUTATING, VALIDATING
from tests.conformance.kinds import GROUP

LABEL = "policy"
SENTINEL = "zz-last"
"""The policy that is created last: once it is enforced, all are."""
API = "admissionregistration.k8s.io/v1"
GADGETS = {"apiGroups": [GROUP], "apiVersions": ["v1"], "operations": ["*"], "resources": ["gadgets", "gadgets/status"]}
PARAMS = "default"
"""The namespace of parameters."""


def labelled(name: str) -> dict[str, Any]:
    """Return metadata of an object that a policy concerns."""
    return {"labels": {LABEL: name}}


def _policy(
    *expressions: str | dict[str, Any], binding: dict[str, Any] | list[dict[str, Any]] | None = None, **spec: Any
) -> dict[str, Any]:
    """Return the spec of a policy, and those of its bindings."""
    validations = [one if isinstance(one, dict) else {"expression": one} for one in expressions]
    return {"spec": {"validations": validations, **spec}, "bindings": binding if isinstance(binding, list) else [binding or {}]}


def _params(**reference: Any) -> dict[str, Any]:
    return {"paramRef": {"namespace": PARAMS, "parameterNotFoundAction": "Deny", **reference}}


CONFIG = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}
POLICIES: dict[str, dict[str, Any]] = {
    "plain": _policy("object.spec.size < 10"),
    "message": _policy({"expression": "object.spec.size < 10", "message": " too large ", "reason": "Forbidden"}),
    "computed": _policy(
        {"expression": "object.spec.size < 10", "messageExpression": "'%s has %d'.format([object.metadata.name, object.spec.size])"},
    ),
    "bad-message": _policy({"expression": "false", "messageExpression": "string(object.spec.nope)", "message": "fixed"}),
    "lines": _policy({"expression": "false", "messageExpression": "'a\\nb'", "message": "fixed"}),
    "reasons": _policy(
        {"expression": "object.spec.size != 1", "reason": "Forbidden"},
        {"expression": "object.spec.size != 2", "reason": "RequestEntityTooLarge"},
        {"expression": "object.spec.size != 3", "reason": "Invalid"},
    ),
    "missing": _policy("object.spec.nope == 1"),
    "missing-ignored": _policy("object.spec.nope == 1", failurePolicy="Ignore"),
    "dyn": _policy("dyn(object.spec.size).contains('a')"),
    "two": _policy("object.spec.size < 50", "object.spec.size < 20", "object.spec.size < 10"),
    "warn": _policy("object.spec.size < 10", binding={"validationActions": ["Warn", "Audit"]}),
    "deny-and-audit": _policy("object.spec.size < 10", binding={"validationActions": ["Deny", "Audit"]}),
    "two-bindings": _policy("object.spec.size < 10", binding=[{"validationActions": ["Warn"]}, {"validationActions": ["Deny"]}]),
    "variables": _policy(
        "variables.sum < 10",
        {"expression": "variables.unused == 0 || variables.sum == 3", "messageExpression": "'sum ' + string(variables.sum)"},
        variables=[
            {"name": "size", "expression": "object.spec.size"},
            {"name": "sum", "expression": "variables.size + 2"},
            {"name": "unused", "expression": "object.spec.nope"},
        ],
    ),
    "conditions": _policy(
        "false", matchConditions=[{"name": "large", "expression": "object.spec.size > 10"}, {"name": "yes", "expression": "true"}]
    ),
    "bad-condition": _policy("false", matchConditions=[{"name": "large", "expression": "object.spec.nope > 10"}]),
    "bad-conditions": _policy(
        "false",
        matchConditions=[{"name": "a", "expression": "object.spec.nope > 10"}, {"name": "b", "expression": "object.spec.nopes > 10"}],
    ),
    "false-beside-error": _policy(
        "false", matchConditions=[{"name": "a", "expression": "object.spec.nope > 10"}, {"name": "b", "expression": "false"}]
    ),
    "update": _policy(
        "oldObject == null || object.spec.size >= oldObject.spec.size",
        matchConditions=[{"name": "not-deletion", "expression": "request.operation != 'DELETE'"}],
    ),
    "delete": _policy("request.operation != 'DELETE' || !has(oldObject.metadata.annotations)"),
    "request": _policy(
        {
            "expression": "false",
            "messageExpression": "[request.operation, request.kind.kind, request.kind.group, request.resource.resource, request.name,"
            " request.userInfo.username, string(request.dryRun), string(has(request.subResource)),"
            " string(request.namespace == namespaceObject.metadata.name), string(request.options.kind)].join(' ')",
        },
    ),
    "subresource": _policy({"expression": "!has(request.subResource)", "messageExpression": "request.subResource"}),
    "no-subresource": _policy("request.subResource == ''"),
    "namespace": _policy(
        {"expression": "namespaceObject.metadata.name == ''", "messageExpression": "namespaceObject.status.phase"},
        "'kubernetes.io/metadata.name' in namespaceObject.metadata.labels",
    ),
    "params": _policy(
        {"expression": "object.spec.size <= int(params.data.most)", "messageExpression": "'at most ' + params.data.most"},
        binding=_params(name="limits"),
        **CONFIG,
    ),
    "params-selected": _policy(
        {"expression": "object.spec.size <= int(params.data.most)"},
        binding=_params(selector={"matchLabels": {"limits": "yes"}}),
        **CONFIG,
    ),
    "params-missing": _policy("true", binding=_params(name="nope"), **CONFIG),
    "params-missing-ignored": _policy("true", binding=_params(name="nope"), failurePolicy="Ignore", **CONFIG),
    "params-not-needed": _policy("false", binding=_params(name="nope", parameterNotFoundAction="Allow"), **CONFIG),
    "params-unused": _policy("params == null", binding={}, **CONFIG),
    "params-own-namespace": _policy("false", binding={"paramRef": {"name": "nope", "parameterNotFoundAction": "Deny"}}, **CONFIG),
    "params-kind": _policy("params.kind == 'ConfigMap' && params.apiVersion == 'v1'", binding=_params(name="limits"), **CONFIG),
    "authorizer": _policy(
        {
            "expression": "!authorizer.group('').resource('secrets').namespace('default').check('get').allowed()",
            "message": "may read secrets",
        },
        {
            "expression": "authorizer.serviceAccount('default', 'nobody').group('').resource('secrets').check('get').allowed()",
            "message": "nobody may not",
        },
    ),
    "authorizer-own": _policy({"expression": "!authorizer.requestResource.check('approve').allowed()", "message": "may approve"}),
    "authorizer-path": _policy({"expression": "!authorizer.path('/healthz').check('get').allowed()", "message": "may ask"}),
    "names": _policy("false", matchConstraints={"resourceRules": [{**GADGETS, "resourceNames": ["one"]}]}),
    "excluded": _policy(
        "false", matchConstraints={"resourceRules": [GADGETS], "excludeResourceRules": [{**GADGETS, "operations": ["UPDATE"]}]}
    ),
    "namespaces": _policy(
        "false",
        matchConstraints={"resourceRules": [GADGETS], "namespaceSelector": {"matchLabels": {"nope": "nope"}}},
    ),
    "binding-matches": _policy("false", binding={"matchResources": {"resourceRules": [{**GADGETS, "operations": ["UPDATE"]}]}}),
    "notes": _policy("true", auditAnnotations=[{"key": "size", "valueExpression": "'size ' + string(object.spec.size)"}]),
    "bad-notes": _policy("true", auditAnnotations=[{"key": "size", "valueExpression": "string(object.spec.nope)"}]),
    "bad-notes-ignored": _policy(
        "true", failurePolicy="Ignore", auditAnnotations=[{"key": "size", "valueExpression": "string(object.spec.nope)"}]
    ),
    "budget": _policy("lists.range(2000).all(x, lists.range(2000).all(y, x + y + object.spec.size > 0))"),
    "budget-ignored": _policy("lists.range(2000).all(x, lists.range(2000).all(y, x + y + object.spec.size > 0))", failurePolicy="Ignore"),
    "libraries": _policy(
        "object.spec.args.isSorted() && object.spec.args.exists(a, a.startsWith('b'))",
        "quantity(object.spec.limits['cpu']).isLessThan(quantity('2'))",
        "object.?spec.?settings.?mode.orValue('fast') == 'fast'",
        "object.spec.?parts.orValue([]).all(p, p.name.matches('^[a-z]+$'))",
        "object.spec.settings.all(k, v, k != v)",
    ),
    SENTINEL: _policy("false"),
}


def _apply(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def _patch(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


def _mutating(*mutations: dict[str, Any], binding: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return the spec of a mutating policy, and that of its binding."""
    return {"spec": {"mutations": list(mutations), "reinvocationPolicy": "Never", **spec}, "bindings": [binding or {}]}


ADDS = _apply("Object{spec: Object.spec{size: object.spec.size + 1}}")
MUTATIONS: dict[str, dict[str, Any]] = {
    "apply": _mutating(_apply("Object{spec: Object.spec{title: 'by-' + object.spec.mode, settings: {'a': 'b'}}}")),
    "apply-metadata": _mutating(
        _apply("Object{metadata: Object.metadata{annotations: {'size': string(object.spec.size)}, finalizers: ['example.com/hold']}}")
    ),
    "apply-set": _mutating(_apply("Object{spec: Object.spec{tags: ['z', 'a']}}")),
    "apply-map-list": _mutating(
        _apply("Object{spec: Object.spec{ports: [Object.spec.ports{port: 80, protocol: 'TCP', name: 'web'}, Object.spec.ports{port: 81}]}}")
    ),
    "apply-atomic-list": _mutating(_apply("Object{spec: Object.spec{args: ['a']}}")),
    "apply-atomic-list-ignored": _mutating(_apply("Object{spec: Object.spec{args: ['a']}}"), failurePolicy="Ignore"),
    "apply-atomic-map": _mutating(_apply("Object{spec: Object.spec{template: Object.spec.template{a: 'a'}}}")),
    "apply-free": _mutating(_apply("Object{spec: Object.spec{free: Object.spec.free{a: Object.spec.free.a{b: 1}, c: 'x'}}}")),
    "apply-optional": _mutating(_apply("Object{spec: Object.spec{?title: object.spec.?code, ?paused: optional.of(true)}}")),
    "apply-nothing": _mutating(_apply("Object{}")),
    "apply-invalid": _mutating(_apply("Object{spec: Object.spec{size: 1000}}")),
    "apply-status": _mutating(_apply("Object{status: Object.status{phase: 'Policy'}}")),
    "apply-name": _mutating(_apply("Object{metadata: Object.metadata{generateName: 'x-', labels: {'kept': 'yes'}}}")),
    "apply-wrong-type": _mutating(_apply("Object{spec: Object.spec{size: 'many'}}")),
    "apply-null": _mutating(_apply("Object{spec: Object.spec{part: Object.spec.part{weight: 3}}}")),
    "mutation-missing": _mutating(_apply("Object{spec: Object.spec{title: object.spec.nope}}")),
    "mutation-missing-ignored": _mutating(_apply("Object{spec: Object.spec{title: object.spec.nope}}"), ADDS, failurePolicy="Ignore"),
    "mutation-missing-twice": _mutating(
        _apply("Object{spec: Object.spec{title: object.spec.nope}}"), ADDS, _apply("Object{spec: Object.spec{title: object.nopes}}")
    ),
    "patch": _mutating(
        _patch(
            "[JSONPatch{op: 'test', path: '/spec/size', value: object.spec.size}, JSONPatch{op: 'add', path: '/spec/args', value: ['a']}]"
        )
    ),
    "patch-object": _mutating(_patch("[JSONPatch{op: 'add', path: '/spec/part', value: Object.spec.part{name: 'x', weight: 2}}]")),
    "patch-label": _mutating(
        _patch("[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('example.com/a.b'), value: 'yes'}]")
    ),
    "patch-test": _mutating(
        _patch("[JSONPatch{op: 'test', path: '/spec/size', value: -1}, JSONPatch{op: 'remove', path: '/spec/size'}]"), ADDS
    ),
    "patch-copy": _mutating(
        _patch(
            "[JSONPatch{op: 'copy', from: '/spec/mode', path: '/spec/title'}, JSONPatch{op: 'replace', path: '/spec/mode', value: 'fast'}]"
        )
    ),
    "patch-move": _mutating(_patch("has(object.spec.code) ? [JSONPatch{op: 'move', from: '/spec/code', path: '/spec/title'}] : []")),
    "patch-missing": _mutating(_patch("[JSONPatch{op: 'replace', path: '/spec/nope/x', value: 1}]")),
    "patch-missing-ignored": _mutating(_patch("[JSONPatch{op: 'remove', path: '/spec/nope'}]"), ADDS, failurePolicy="Ignore"),
    "patch-defaults": _mutating(
        _patch("[JSONPatch{op: 'remove', path: '/spec/mode'}]"), _apply("Object{spec: Object.spec{title: object.spec.mode}}")
    ),
    "patch-unknown": _mutating(_patch("[JSONPatch{op: 'add', path: '/spec/nope', value: 1}]")),
    "patch-values": _mutating(
        _patch(
            "[JSONPatch{op: 'add', path: '/spec/free', value: {'big': dyn(9007199254740993),"
            " 'when': dyn(timestamp('2026-01-02T03:04:05Z')),"
            " 'long': dyn(duration('90s')), 'bytes': dyn(b'abc'), 'half': dyn(0.5), 'none': dyn(null), 'list': dyn([dyn(1), dyn('a')]),"
            " 'map': dyn({'k': uint(3)})}}]"
        )
    ),
    "two-mutations": _mutating(ADDS, ADDS),
    "mutation-order": _mutating(_apply("Object{spec: Object.spec{title: 't' + string(object.spec.size)}}"), ADDS),
    "once": _mutating(ADDS),
    "again": _mutating(ADDS, reinvocationPolicy="IfNeeded"),
    "again-with-condition": _mutating(
        ADDS, reinvocationPolicy="IfNeeded", matchConditions=[{"name": "small", "expression": "object.spec.size < 5"}]
    ),
    "mutation-conditions": _mutating(ADDS, matchConditions=[{"name": "small", "expression": "object.spec.size < 5"}]),
    "mutation-bad-condition": _mutating(ADDS, matchConditions=[{"name": "small", "expression": "object.spec.nope < 5"}]),
    "mutation-bad-condition-ignored": _mutating(
        ADDS, failurePolicy="Ignore", matchConditions=[{"name": "small", "expression": "object.spec.nope < 5"}]
    ),
    "mutation-params": _mutating(
        _apply("Object{metadata: Object.metadata{annotations: {string(params.metadata.name): string(params.data.most)}}}"),
        binding=_params(selector={"matchLabels": {"limits": "yes"}}),
        **CONFIG,
    ),
    "mutation-params-missing": _mutating(ADDS, binding=_params(name="nope"), **CONFIG),
    "mutation-params-missing-ignored": _mutating(ADDS, binding=_params(name="nope"), failurePolicy="Ignore", **CONFIG),
    "mutation-variables": _mutating(
        _apply("Object{spec: Object.spec{size: variables.twice}}"),
        _apply("Object{spec: Object.spec{size: variables.twice}}"),
        variables=[{"name": "twice", "expression": "object.spec.size * 2"}],
    ),
    "mutation-authorizer": _mutating(
        _apply(
            "Object{metadata: Object.metadata{annotations: {'may':"
            " string(authorizer.group('').resource('secrets').namespace('default').check('get').allowed())}}}"
        )
    ),
    "mutation-request": _mutating(
        _apply(
            "Object{metadata: Object.metadata{annotations: {'said': [request.operation, request.userInfo.username,"
            " namespaceObject.metadata.name == request.namespace ? 'own' : 'other', string(oldObject == null)].join(' ')}}}"
        )
    ),
    "mutation-subresource": _mutating(_apply("Object{status: Object.status{count: 7}, spec: Object.spec{title: 'no'}}")),
    "mutation-budget": _mutating(
        _apply("Object{spec: Object.spec{size: lists.range(2000).map(x, lists.range(2000).all(y, x + y > 0)).size()}}")
    ),
    f"{SENTINEL}-mutation": _mutating(_apply("Object{spec: Object.spec{title: 'seen'}}")),
}


def manifests() -> list[tuple[str, dict[str, Any]]]:
    """Return the paths and objects to apply, in order."""
    maps = [("limits", {"most": "10"}, {"limits": "yes"}), ("lower", {"most": "5"}, {"limits": "yes"}), ("other", {"most": "0"}, {})]
    found = [
        (
            f"/api/v1/namespaces/{PARAMS}/configmaps/{name}",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": PARAMS, "labels": labels}, "data": data},
        )
        for name, data, labels in maps
    ]
    found += [one for name, policy in MUTATIONS.items() for one in _manifests(MUTATING, name, policy, {})]
    return found + [
        one for name, policy in POLICIES.items() for one in _manifests(VALIDATING, name, policy, {"validationActions": ["Deny"]})
    ]


def _manifests(kind: str, name: str, policy: dict[str, Any], binding: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    constraints = {"resourceRules": [GADGETS], **policy["spec"].get("matchConstraints", {})}
    constraints["objectSelector"] = {"matchLabels": {LABEL: name}}
    spec = {"failurePolicy": "Fail", **policy["spec"], "matchConstraints": constraints}
    found = [_manifest(kind, name, spec)]
    for index, own in enumerate(policy["bindings"]):
        found.append(_manifest(f"{kind}Binding", f"{name}-{index}", {"policyName": name, **binding, **own}))
    return found


def _manifest(kind: str, name: str, spec: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    plural = f"{kind.lower()}s" if kind.endswith("Binding") else f"{kind.lower().removesuffix('y')}ies"
    return f"/apis/{API}/{plural}/{name}", {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
