"""Change objects by MutatingAdmissionPolicies (policy/mutating/dispatcher.go of k8s.io/apiserver).

Fields that a policy changes have no owner in managedFields, as in kube-apiserver.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from apiserver.admission.mutation import defaulted
from apiserver.admission.policies.activation import authorizers, variables_of
from apiserver.admission.policies.definitions import MUTATING, Hook, Mutation, Policies, Policy
from apiserver.admission.policies.evaluating import evaluated, matched
from apiserver.admission.policies.invocations import Invocation, hooks_of, invocations, namespace_of
from apiserver.admission.policies.metrics import EvaluationMetrics, PolicyMetrics, error_type
from apiserver.admission.policies.mutations import Unchangeable, applied, configuration_of, operations_from, patched
from apiserver.admission.policies.params import Params
from apiserver.admission.policies.running import Run, Runner
from apiserver.admission.reinvocation import Calls
from apiserver.apis.status import ApiError, forbidden
from apiserver.registry.claims.namespaces import Namespaces
from apiserver.registry.fieldmanager import compile_schema
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.latency import track_wait
from apiserver.registry.generic.tracking import schema_of

log = logging.getLogger(__name__)

_ACTION = compile_schema({})
"""The schema of an action's body."""


class _Error(NamedTuple):
    """Why a write is refused."""

    message: str
    reason: str


class _Change(NamedTuple):
    """The value of a mutation, or the error."""

    value: Any
    error: str
    seconds: float


@dataclass(frozen=True)
class MutatingPolicies:
    """The Mutator of MutatingAdmissionPolicies."""

    policies: Policies
    namespaces: Namespaces
    params: Params
    runner: Runner
    evaluations: EvaluationMetrics = field(default_factory=EvaluationMetrics)
    metrics: PolicyMetrics = field(default_factory=lambda: PolicyMetrics("mutating"))

    async def mutate(self, attributes: Attributes, calls: Calls) -> Attributes:
        """Return the write after all policies. See Mutator.

        Raises ApiError (503) while they are not known, so that no write bypasses them."""
        hooks = hooks_of(self.policies)
        if not hooks or attributes.new is None:
            return attributes
        with track_wait():
            return await self._mutated(hooks, attributes, calls)

    async def _mutated(self, hooks: tuple[Hook, ...], attributes: Attributes, calls: Calls) -> Attributes:
        errors, run, dirty = list[_Error](), self.runner.write(attributes.context.user), False
        namespace = await namespace_of(attributes, self.namespaces)
        # The policies are selected by the object as it was before all of them. Those that cannot be
        # applied come first.
        selected = [one async for one in invocations(hooks, attributes, namespace, self.params)]
        for one in sorted(selected, key=lambda one: not one.why):
            if not await self._concerns(one, attributes, run, calls, errors):
                continue
            before = attributes.new
            for mutation in one.policy.mutations:
                changed = await self._changed(mutation, one, attributes, namespace, run, errors)
                await asyncio.sleep(0)  # each mutation of a large object takes long
                if changed is not None:
                    attributes, dirty = attributes._replace(new=changed), True
            calls.made(_key(one), changed=attributes.new != before, again=one.policy.reinvoked)
        if errors:
            raise _refusal(attributes, errors)
        if dirty:
            calls.changed()
        return attributes

    async def _concerns(self, one: Invocation, attributes: Attributes, run: Run, calls: Calls, errors: list[_Error]) -> bool:
        """Return whether a policy must change the write now."""
        if one.why:
            self._failed(one, one.why, errors, reason="Forbidden")
            self.metrics.checked(*_names(one), "invalid_error", seconds=0.0)
            return False
        variables = {**variables_of(attributes, None), "params": one.params, **authorizers(attributes, run.decisions)}
        match = await run.result(partial(matched, one.policy.conditions, variables, composed=one.policy.variables))
        if one.policy.conditions:
            self.evaluations.evaluated(one.policy.name, "policy", "admit", attributes.operation, match)
        if match.error:
            self._failed(one, match.error, errors)
            self.metrics.checked(*_names(one), error_type(match.error), seconds=match.seconds)
        return not match.excluded and not match.error and calls.due(_key(one))

    async def _changed(
        self,
        mutation: Mutation,
        one: Invocation,
        attributes: Attributes,
        namespace: Mapping[str, Any] | None,
        run: Run,
        errors: list[_Error],
    ) -> dict[str, Any] | None:
        """Return the object after a mutation, None if it cannot be applied."""
        variables = {**variables_of(attributes, namespace), "params": one.params, **authorizers(attributes, run.decisions)}
        change = await run.result(partial(_change, mutation, one.policy, variables))
        try:
            if change.error:
                raise Unchangeable(change.error)
            found = defaulted(attributes, _apply(mutation.kind, change.value, attributes))
        except Unchangeable as error:
            self._failed(one, str(error), errors)
            self.metrics.checked(*_names(one), error_type(str(error)), seconds=change.seconds)
            return None
        self.metrics.checked(*_names(one), "no_error", seconds=change.seconds)
        return found

    def _failed(self, one: Invocation, why: str, errors: list[_Error], reason: str = "Invalid") -> None:
        policy, binding = _names(one)
        log.warning(
            "failing %s: policy %s with binding %s: %s", "closed" if one.policy.fails_closed else "open", policy, binding, why[:1024]
        )
        self.evaluations.failed(policy, MUTATING, closed=one.policy.fails_closed)
        if one.policy.fails_closed:
            which = f"policy '{policy}' with binding '{binding}'" if one.binding is not None else f'policy "{policy}"'
            errors.append(_Error(f"{which} denied request: {why}", reason))


def _change(mutation: Mutation, policy: Policy, variables: Mapping[str, Any], pace: Callable[[int], None]) -> _Change:
    """Return the value of a mutation as JSON."""
    result = evaluated(mutation.expression, policy, variables, pace)
    if result.error:
        return _Change(None, result.error, result.seconds)
    try:
        convert = configuration_of if mutation.kind == "ApplyConfiguration" else operations_from
        return _Change(convert(result.value), "", result.seconds)
    except Unchangeable as error:
        return _Change(None, str(error), result.seconds)
    except RecursionError:
        return _Change(None, "the mutation is nested too deeply", result.seconds)


def _apply(kind: str, value: Any, attributes: Attributes) -> dict[str, Any]:
    assert attributes.new is not None, "there is nothing to mutate in a deletion"
    if kind == "JSONPatch":
        return patched(attributes.new, value)
    return applied(schema_of(attributes.resource.model) if attributes.subresource in ("", "status") else _ACTION, attributes.new, value)


def _names(one: Invocation) -> tuple[str, str]:
    return one.policy.name, one.binding.name if one.binding is not None else ""


def _key(one: Invocation) -> tuple[str, ...]:
    metadata = (one.params or {}).get("metadata") or {}
    return (*_names(one), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


def _refusal(attributes: Attributes, errors: list[_Error]) -> ApiError:
    """Return the error for the write. It says why the first policy failed, and names all in its
    causes."""
    error = forbidden(attributes.resource.group, attributes.resource.plural, attributes.name, "")
    causes = [{"message": one.message} for one in errors]
    return ApiError(403, errors[0].reason, errors[0].message, details={**error.details, "causes": causes})
