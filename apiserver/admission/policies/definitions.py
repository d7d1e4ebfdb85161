"""Parse policies and their bindings when they change, and compile their expressions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from apiserver.admission.policies.matching import Resources, resources_of
from apiserver.admission.rules import label_selector
from apiserver.cel.program import Program
from apiserver.cel.syntax import Syntax
from apiserver.registry.generic.selectors import LabelSelector

log = logging.getLogger(__name__)

VARIABLES = ("object", "oldObject", "request", "namespaceObject", "variables")
AUTHORIZERS = ("authorizer", "authorizer.requestResource")
VALIDATING, MUTATING = "ValidatingAdmissionPolicy", "MutatingAdmissionPolicy"

MUTATIONS = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
"""The fields of a mutation by its patchType."""


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression, with the program or the reason why there is none."""

    text: str
    program: Program | None
    error: str = ""


Named = tuple[tuple[str, Expression], ...]
"""Pairs of a name and an expression."""


@dataclass(frozen=True, slots=True)
class Validation:
    """A condition, and the message and reason of a write that does not meet it."""

    condition: Expression
    message: str = ""
    message_expression: Expression | None = None
    reason: str = "Invalid"


class Mutation(NamedTuple):
    """A change of objects. `kind` is ApplyConfiguration or JSONPatch, which the expression gives."""

    kind: str
    expression: Expression


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with defaults.

    param_kind: the (apiVersion, kind) of its parameters. reinvoked: whether its reinvocationPolicy
    is IfNeeded. broken: the reason why it cannot be read, "" if it can."""

    name: str
    fails_closed: bool
    resources: Resources = field(default_factory=Resources)
    param_kind: tuple[str, str] | None = None
    conditions: Named = ()
    variables: Named = ()
    validations: tuple[Validation, ...] = ()
    annotations: Named = ()
    mutations: tuple[Mutation, ...] = ()
    reinvoked: bool = False
    broken: str = ""


@dataclass(frozen=True, slots=True)
class ParamRef:
    """The selection of a binding's parameters: one object by name, or those with labels.

    `required` refuses writes if there are none."""

    name: str = ""
    namespace: str = ""
    selector: LabelSelector | None = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a policy applies, with which parameters and which consequences."""

    name: str
    policy: str
    actions: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    params: ParamRef | None = None
    broken: str = ""


class Hook(NamedTuple):
    """A policy with its bindings, by name."""

    policy: Policy
    bindings: tuple[Binding, ...]


class Policies:
    """All policies of one kind with their bindings.

    Policies without a binding do nothing, and are not in `hooks`. `known` is true after the first
    complete list of both."""

    def __init__(self) -> None:
        self.known = False
        self.hooks: tuple[Hook, ...] = ()
        self._policies: dict[str, Policy] = {}
        self._bindings: dict[str, Binding] = {}

    def policy_changed(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Process a policy that is new, changed, or deleted (`new` is None)."""
        name = (new or old or {})["metadata"]["name"]
        if new is None:
            self._policies.pop(name, None)
        elif old is None or name not in self._policies or old.get("spec") != new.get("spec"):
            self._policies[name] = policy_of(new)
        self._join()

    def binding_changed(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        """Process a binding that is new, changed, or deleted (`new` is None)."""
        name = (new or old or {})["metadata"]["name"]
        if new is None:
            self._bindings.pop(name, None)
        else:
            self._bindings[name] = binding_of(new)
        self._join()

    @property
    def param_kinds(self) -> frozenset[tuple[str, str]]:
        """Return the kinds of parameters that are in use."""
        return frozenset(kind for hook in self.hooks if (kind := hook.policy.param_kind) is not None)

    def _join(self) -> None:
        found: dict[str, list[Binding]] = {}
        for name in sorted(self._bindings):
            found.setdefault(self._bindings[name].policy, []).append(self._bindings[name])
        self.hooks = tuple(Hook(self._policies[name], tuple(found[name])) for name in sorted(self._policies) if name in found)


def policy_of(given: Mapping[str, Any]) -> Policy:
    """Return a policy of either kind. One that cannot be read is `broken`, and its failurePolicy
    decides."""
    spec, name = given.get("spec") or {}, given["metadata"]["name"]
    found = Policy(name, fails_closed=spec.get("failurePolicy") != "Ignore")
    try:
        kind = spec.get("paramKind")
        found = replace(found, resources=resources_of(spec.get("matchConstraints")))
        return _compiled(replace(found, param_kind=(kind["apiVersion"], kind["kind"]) if kind else None), spec)
    except (KeyError, TypeError, AttributeError) as error:
        log.error("policy %s cannot be read: %r", name, error)
        return replace(found, broken="it cannot be read by this server")


def _compiled(policy: Policy, spec: Mapping[str, Any]) -> Policy:
    params = ("params",) if policy.param_kind else ()
    plain, full = (*VARIABLES, *params), (*VARIABLES, *AUTHORIZERS, *params)
    return replace(
        policy,
        conditions=_named(spec.get("matchConditions"), "name", "expression", full),
        variables=_named(spec.get("variables"), "name", "expression", full),
        validations=tuple(_validation(one, full, plain) for one in spec.get("validations") or ()),
        annotations=_named(spec.get("auditAnnotations"), "key", "valueExpression", full),
        mutations=tuple(_mutation(one, full) for one in spec.get("mutations") or ()),
        reinvoked=spec.get("reinvocationPolicy") == "IfNeeded",
    )


def _mutation(given: Mapping[str, Any], full: tuple[str, ...]) -> Mutation:
    kind = given["patchType"]
    return Mutation(kind, expression(given[MUTATIONS[kind]]["expression"], full, structs=True))


def _validation(given: Mapping[str, Any], full: tuple[str, ...], plain: tuple[str, ...]) -> Validation:
    message = given.get("messageExpression")
    return Validation(
        expression(given["expression"], full),
        given.get("message") or "",
        expression(message, plain) if message else None,
        given.get("reason") or "Invalid",
    )


def conditions_of(given: Iterable[Mapping[str, Any]] | None) -> Named:
    """Return the matchConditions of a webhook. Raises KeyError or TypeError."""
    return _named(given, "name", "expression", ("object", "oldObject", "request", *AUTHORIZERS))


def _named(given: Iterable[Mapping[str, Any]] | None, name: str, text: str, variables: tuple[str, ...]) -> Named:
    return tuple((one[name], expression(one[text], variables)) for one in given or ())


def expression(text: str, variables: tuple[str, ...], *, structs: bool = False) -> Expression:
    """Return the compiled expression, or the error that compiling it caused."""
    try:
        return Expression(text, Program(text, variables, structs=structs))
    except Syntax as error:
        log.error("an expression of a policy or webhook cannot be compiled: %s", error)
        return Expression(text, None, f"compilation error: compilation failed: {error}")


def binding_of(given: Mapping[str, Any]) -> Binding:
    """Return a binding. One that cannot be read is `broken`."""
    spec, name = given.get("spec") or {}, given["metadata"]["name"]
    policy, actions = spec.get("policyName") or "", tuple(spec.get("validationActions") or ())
    try:
        return Binding(name, policy, actions, resources_of(spec.get("matchResources")), _param_ref(spec.get("paramRef")))
    except (KeyError, TypeError, AttributeError) as error:
        log.error("binding %s of policy %s cannot be read: %r", name, policy, error)
        return Binding(name, policy, actions, broken="it cannot be read by this server")


def _param_ref(given: Mapping[str, Any] | None) -> ParamRef | None:
    if given is None:
        return None
    selector = given.get("selector")
    return ParamRef(
        given.get("name") or "",
        given.get("namespace") or "",
        None if selector is None else label_selector(selector),
        given.get("parameterNotFoundAction") == "Deny",
    )
