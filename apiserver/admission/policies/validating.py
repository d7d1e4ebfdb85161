"""Enforce ValidatingAdmissionPolicies (policy/validating/dispatcher.go of k8s.io/apiserver)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import orjson

from apiserver.admission.policies.activation import authorizers, variables_of
from apiserver.admission.policies.definitions import VALIDATING, Binding, Hook, Policies, Policy
from apiserver.admission.policies.evaluating import Decision, Outcome, outcome
from apiserver.admission.policies.invocations import hooks_of, invocations, namespace_of
from apiserver.admission.policies.metrics import EvaluationMetrics, PolicyMetrics, error_type
from apiserver.admission.policies.params import Params
from apiserver.admission.policies.running import Runner
from apiserver.apis.status import ApiError, forbidden
from apiserver.registry.claims.namespaces import Namespaces
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.latency import track_wait

log = logging.getLogger(__name__)

LONGEST_NOTE = 10 * 1024
CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413}


class _Denial(NamedTuple):
    policy: Policy
    binding: Binding | None
    decision: Decision


@dataclass(slots=True)
class _Findings:
    """The results of all policies for one write."""

    denials: list[_Denial] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class ValidatingPolicies:
    """The Admission of ValidatingAdmissionPolicies, which changes nothing."""

    policies: Policies
    namespaces: Namespaces
    params: Params
    runner: Runner
    evaluations: EvaluationMetrics = field(default_factory=EvaluationMetrics)
    metrics: PolicyMetrics = field(default_factory=PolicyMetrics)

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Evaluate the policies. See Admission.

        Raises ApiError (503) while they are not known, so that no write bypasses them."""
        hooks = hooks_of(self.policies)
        if not hooks:
            return attributes.new
        with track_wait():
            findings = await self._findings(hooks, attributes)
        for key, values in findings.notes.items():
            attributes.context.annotations.setdefault(key, ", ".join(values))
        if findings.denials:
            raise _refusal(attributes, findings.denials[0])
        return attributes.new

    async def _findings(self, hooks: tuple[Hook, ...], attributes: Attributes) -> _Findings:
        findings, run = _Findings(), self.runner.write(attributes.context.user)
        namespace = await namespace_of(attributes, self.namespaces)
        variables = variables_of(attributes, namespace)
        async for policy, binding, params, why in invocations(hooks, attributes, namespace, self.params):
            if why or binding is None:
                self._misconfigured(findings, policy, binding, why)
                continue
            job = partial(outcome, policy, {**variables, "params": params}, authorizers(attributes, run.decisions))
            said = await run.result(job)
            if policy.conditions:
                self.evaluations.evaluated(policy.name, "policy", "validate", attributes.operation, said.match)
            self._enforce(policy, binding, said, attributes, findings)
        return findings

    def _misconfigured(self, findings: _Findings, policy: Policy, binding: Binding | None, why: str) -> None:
        """Refuse the write, or let it pass, for a policy or a binding that cannot be applied."""
        name = binding.name if binding is not None else ""
        self._report(policy, name, why)
        self.metrics.checked(policy.name, name, "invalid_error", "deny" if policy.fails_closed else "allow", seconds=0.0)
        if policy.fails_closed:
            findings.denials.append(_Denial(policy, binding, Decision(True, why, error=True)))

    def _report(self, policy: Policy, binding: str, why: str) -> None:
        how = "closed" if policy.fails_closed else "open"
        log.warning("failing %s: policy %s with binding %s: %s", how, policy.name, binding, why[:1024])
        self.evaluations.failed(policy.name, VALIDATING, closed=policy.fails_closed)

    def _enforce(self, policy: Policy, binding: Binding, said: Outcome, attributes: Attributes, findings: _Findings) -> None:
        for index, decision in enumerate(said.decisions):
            if decision.error:
                self._report(policy, binding.name, decision.message)
            if decision.denied:
                self._act(policy, binding, index, decision, attributes, findings)
            elif decision.error:
                self.metrics.checked(policy.name, binding.name, error_type(decision.message), "allow", seconds=decision.seconds)
        for note in said.notes:
            if note.error:
                self._report(policy, binding.name, note.error)
                findings.denials.append(_Denial(policy, binding, Decision(True, note.error, error=True)))
                self.metrics.checked(policy.name, binding.name, error_type(note.error), "deny", seconds=note.seconds)
                continue
            values = findings.notes.setdefault(f"{policy.name}/{note.key}", [])
            text = note.value.encode()[:LONGEST_NOTE].decode(errors="ignore")
            if text not in values:
                values.append(text)

    def _act(self, policy: Policy, binding: Binding, index: int, decision: Decision, attributes: Attributes, findings: _Findings) -> None:
        """Apply the binding's validationActions to a violation."""
        for action in binding.actions:
            if action == "Deny":
                findings.denials.append(_Denial(policy, binding, decision))
            elif action == "Audit":
                _record(policy, binding, index, decision, attributes)
            elif action == "Warn":
                said = f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}': {decision.message}"
                attributes.context.warnings.append(said)
            self.metrics.checked(policy.name, binding.name, error_type(decision.message), action.lower(), seconds=decision.seconds)


def _record(policy: Policy, binding: Binding, index: int, decision: Decision, attributes: Attributes) -> None:
    """Write a violation to the audit log."""
    failure = {
        "message": decision.message,
        "policy": policy.name,
        "binding": binding.name,
        "expressionIndex": index,
        "validationActions": list(binding.actions),
    }
    key = "validation.policy.admission.k8s.io/validation_failure"
    attributes.context.annotations.setdefault(key, orjson.dumps([failure]).decode())


def _refusal(attributes: Attributes, denial: _Denial) -> ApiError:
    """Return the error for the first denial. The others are not shown, as in kube-apiserver."""
    binding = f" with binding '{denial.binding.name}'" if denial.binding is not None else ""
    message = f"ValidatingAdmissionPolicy '{denial.policy.name}'{binding} denied request: {denial.decision.message}"
    reason = denial.decision.reason
    error = forbidden(attributes.resource.group, attributes.resource.plural, attributes.name, message)
    causes = [{"message": message}]
    return ApiError(CODES.get(reason, 422), reason, error.message, details={**error.details, "causes": causes})
