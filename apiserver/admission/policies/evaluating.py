"""Evaluate the expressions of one policy and binding (policy/validating/validator.go of
k8s.io/apiserver).

The functions compute without waiting. They raise Heavy or Undecided to end early. The caller then
repeats the computation in a thread, or with one more decision of the authorizer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from apiserver.admission.policies.definitions import Expression, Named, Policy, Validation
from apiserver.cel.meter import BUDGET, MATCH_BUDGET, PER_CALL, Cancelled, Meter
from apiserver.cel.operators import ABSENT
from apiserver.cel.program import Fields
from apiserver.cel.values import CelError, type_name

log = logging.getLogger(__name__)

OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
LONGEST_MESSAGE = 5 * 1024


class OutOfBudget(Exception):
    """The expressions of a stage cost too much together."""


class Result(NamedTuple):
    """The value of an expression, or the error. `seconds` is the time that it took."""

    value: Any
    error: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of one validation. `error` means that it could not be evaluated."""

    denied: bool
    message: str = ""
    reason: str = "Invalid"
    error: bool = False
    seconds: float = 0.0


class Note(NamedTuple):
    """An audit annotation: its value, or the error that refuses the write."""

    key: str
    value: str
    error: str
    seconds: float


class Match(NamedTuple):
    """The result of matchConditions: whether they exclude the write, or the error."""

    excluded: bool
    error: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a policy for a write, with one binding and one parameter."""

    match: Match
    decisions: list[Decision] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


class Evaluator:
    """Evaluates expressions under one budget. `composed` are the policy's variables, which are
    computed when they are needed."""

    def __init__(self, composed: Named, given: Mapping[str, Any], pace: Callable[[int], None], budget: int) -> None:
        self._pace, self.left = pace, budget
        self._variables: dict[str, Any] = {}
        self._variables |= {**given, "variables": _Variables(dict(composed), self._variables, self)}

    def each(self, expressions: Iterable[Expression | None]) -> list[Result | None]:
        """Return the results, None for each missing expression. Raises OutOfBudget."""
        return [None if one is None else self.result(one) for one in expressions]

    def result(self, expression: Expression) -> Result:
        """Return the result of one expression. Raises OutOfBudget."""
        if expression.program is None:
            return Result(None, expression.error, 0.0)
        began = time.perf_counter()
        try:
            value, error = self.run(expression), ""
        except (CelError, Cancelled) as failed:
            value, error = None, f"expression '{expression.text}' resulted in error: {failed}"
        if self.left < 0:
            raise OutOfBudget(OUT_OF_BUDGET)
        return Result(value, error, time.perf_counter() - began)

    def run(self, expression: Expression) -> Any:
        """Return the value. Raises CelError or Cancelled. Its cost is taken from the budget."""
        assert expression.program is not None, "expressions without a program are not run"
        meter = Meter(self._pace, min(PER_CALL, max(self.left, 0)))
        try:
            return expression.program.run(self._variables, meter)
        finally:
            self.left -= meter.spent


class _Variables(Fields):
    """The variable `variables`. Each is computed once, when it is first used."""

    __slots__ = ("_evaluator", "_expressions", "_known")

    def __init__(self, expressions: Mapping[str, Expression], variables: Mapping[str, Any], evaluator: Evaluator) -> None:
        self._expressions, self._evaluator = expressions, evaluator
        self._known: dict[str, Any] = {}

    def field(self, name: str, meter: Meter) -> Any:
        """Return a variable's value. See Fields."""
        if name not in self._expressions:
            return ABSENT
        if name not in self._known:
            self._known[name] = self._computed(name, self._expressions[name])
        found = self._known[name]
        if isinstance(found, CelError):
            raise found
        return found

    def _computed(self, name: str, expression: Expression) -> Any:
        if expression.program is None:
            return CelError(f'composited variable "{name}" fails to compile: {expression.error}')
        try:
            return self._evaluator.run(expression)
        except (CelError, Cancelled) as error:
            return CelError(f'composited variable "{name}" fails to evaluate: {error}')


def matched(conditions: Named, variables: Mapping[str, Any], pace: Callable[[int], None], composed: Named = ()) -> Match:
    """Return whether the matchConditions of a webhook or a policy exclude the write.

    A false condition decides, even if others fail."""
    began = time.perf_counter()
    excluded, error = _matched(conditions, {**variables, "namespaceObject": None}, pace, composed) if conditions else (False, "")
    return Match(excluded, error, time.perf_counter() - began)


def _matched(conditions: Named, variables: Mapping[str, Any], pace: Callable[[int], None], composed: Named) -> tuple[bool, str]:
    try:
        results = Evaluator(composed, variables, pace, MATCH_BUDGET).each(expression for _, expression in conditions)
    except OutOfBudget as error:
        return False, str(error)
    if any(one is not None and not one.error and one.value is False for one in results):
        return True, ""
    errors = [one.error for one in results if one is not None and one.error]
    return False, errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]" if errors else ""


def outcome(policy: Policy, variables: Mapping[str, Any], authorizers: Mapping[str, Any], pace: Callable[[int], None]) -> Outcome:
    """Evaluate a ValidatingAdmissionPolicy for a write."""
    everything = {**variables, **authorizers}
    match = matched(policy.conditions, everything, pace, policy.variables)
    if match.error:
        # As in kube-apiserver, a condition that cannot be decided excludes the write under
        # failurePolicy Ignore.
        return Outcome(match, [_undecided(policy, match.error)])
    if match.excluded:
        return Outcome(match)
    evaluator = Evaluator(policy.variables, everything, pace, BUDGET)
    try:
        results = evaluator.each(one.condition for one in policy.validations)
    except OutOfBudget as failed:
        return Outcome(match, [_undecided(policy, str(failed))])
    messages, failed_messages = _messages(policy, variables, pace, evaluator.left)
    decisions = [
        _decision(policy, validation, result, message, failed_messages)
        for validation, result, message in zip(policy.validations, results, messages, strict=True)
        if result is not None
    ]
    try:
        return Outcome(match, decisions, _notes(policy, variables, pace))
    except OutOfBudget as failed:
        return Outcome(match, [_undecided(policy, str(failed))])


def evaluated(expression: Expression, policy: Policy, variables: Mapping[str, Any], pace: Callable[[int], None]) -> Result:
    """Return the result of one expression with a budget of its own."""
    try:
        return Evaluator(policy.variables, variables, pace, BUDGET).result(expression)
    except OutOfBudget as error:
        return Result(None, str(error), 0.0)


def _messages(policy: Policy, variables: Mapping[str, Any], pace: Callable[[int], None], left: int) -> tuple[list[Result | None], str]:
    """Return the results of messageExpressions, and the error if they cost too much."""
    try:
        return Evaluator(policy.variables, variables, pace, left).each(one.message_expression for one in policy.validations), ""
    except OutOfBudget as error:
        return [None] * len(policy.validations), f"failed messageExpression: {error}"


def _undecided(policy: Policy, error: str, seconds: float = 0.0) -> Decision:
    return Decision(policy.fails_closed, error, error=True, seconds=seconds)


def _decision(policy: Policy, validation: Validation, result: Result, message: Result | None, failed_messages: str) -> Decision:
    if result.error or failed_messages:
        return _undecided(policy, result.error or failed_messages, result.seconds)
    if result.value is True:
        return Decision(False, seconds=result.seconds)
    return Decision(True, _message(validation, message), validation.reason, seconds=result.seconds)


def _message(validation: Validation, result: Result | None) -> str:
    """Return the computed message, or the fixed one, or one that quotes the expression."""
    computed = result.value.strip() if result is not None and not result.error and isinstance(result.value, str) else ""
    if result is not None and result.error:
        log.info("a messageExpression could not be evaluated: %s", result.error)
    if len(computed.encode()) > LONGEST_MESSAGE or "\n" in computed:
        computed = ""
    return computed or validation.message.strip() or f"failed expression: {validation.condition.text.strip()}"


def _notes(policy: Policy, variables: Mapping[str, Any], pace: Callable[[int], None]) -> list[Note]:
    """Return the audit annotations. Raises OutOfBudget."""
    results = Evaluator(policy.variables, variables, pace, BUDGET).each(expression for _, expression in policy.annotations)
    found = []
    for (key, expression), result in zip(policy.annotations, results, strict=True):
        assert result is not None, "every annotation has an expression"
        error, value = result.error, result.value
        if not error and value is not None and not isinstance(value, str):
            error = f"valueExpression '{expression.text}' resulted in unsupported return type: {type_name(value)}. "
            error += "Return type must be either string or null."
        elif error and not policy.fails_closed:
            log.warning("failing open: audit annotation %s of policy %s: %s", key, policy.name, error)
            continue
        text = value.strip() if isinstance(value, str) else ""
        if error or text:
            found.append(Note(key, text, error, result.seconds))
    return found
