"""Define admission policies of the control plane, which both servers enforce on Gadgets.

A policy concerns only objects with its label, so that other cases are not affected.
"""

from __future__ import annotations

from typing import Any

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
    return found + [one for name, policy in POLICIES.items() for one in _manifests(name, policy)]


def _manifests(name: str, policy: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    constraints = {"resourceRules": [GADGETS], **policy["spec"].get("matchConstraints", {})}
    constraints["objectSelector"] = {"matchLabels": {LABEL: name}}
    spec = {"failurePolicy": "Fail", **policy["spec"], "matchConstraints": constraints}
    kind = "ValidatingAdmissionPolicy"
    found = [_manifest(kind, name, spec)]
    for index, binding in enumerate(policy["bindings"]):
        found.append(_manifest(f"{kind}Binding", f"{name}-{index}", {"policyName": name, "validationActions": ["Deny"], **binding}))
    return found


def _manifest(kind: str, name: str, spec: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    plural = "validatingadmissionpolicies" if kind.endswith("Policy") else "validatingadmissionpolicybindings"
    return f"/apis/{API}/{plural}/{name}", {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
