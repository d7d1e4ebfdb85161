"""Measure the checks of policies, and matchConditions, under kube-apiserver's names.

The labels are names of policies and bindings, which the cluster's administrator chooses."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from apiserver.admission.policies.evaluating import Match

CONDITION_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.1, 0.2, 0.25)
BUCKETS = (0.0000005, 0.001, 0.01, 0.1, 1.0)
LABELS = ("policy", "policy_binding", "error_type")


class PolicyMetrics(Collector):
    """The metrics of all policies of one kind. `kind` is validating or mutating."""

    def __init__(self, kind: str = "validating") -> None:
        prefix, labels = f"apiserver_{kind}_admission_policy_check", (*LABELS, *(["enforcement_action"] if kind == "validating" else []))
        self._checks = Counter(f"{prefix}_total", f"Checks by a {kind} policy, by binding and error.", labels, registry=None)
        self._durations = Histogram(
            f"{prefix}_duration_seconds", f"Time of one expression of a {kind} policy.", labels, buckets=BUCKETS, registry=None
        )

    def collect(self) -> Iterator[Metric]:
        """Return the present values."""
        for metric in (self._checks, self._durations):
            yield from metric.collect()

    def checked(self, policy: str, binding: str, error: str, *action: str, seconds: float) -> None:
        """Count a check. The `action` of a validating policy is allow, deny, audit or warn."""
        self._checks.labels(policy, binding, error, *action).inc()
        self._durations.labels(policy, binding, error, *action).observe(seconds)


def error_type(message: str) -> str:
    """Return the type of the error in a decision's message, as kube-apiserver derives it."""
    if message.startswith("compilation"):
        return "compile_error"
    if message.startswith("validation failed due to running out of cost budget"):
        return "out_of_budget"
    return "invalid_error"


class EvaluationMetrics(Collector):
    """The metrics of matchConditions of webhooks and policies, and of failed evaluations.

    `kind` is webhook or policy, `type` admit, validating or validate."""

    def __init__(self) -> None:
        labels, prefix = ("name", "kind", "type", "operation"), "apiserver_admission_match_condition_"
        self._failures = Counter(f"{prefix}evaluation_errors_total", "matchConditions that could not be decided.", labels, registry=None)
        self._exclusions = Counter(f"{prefix}exclusions_total", "Writes that matchConditions excluded.", labels, registry=None)
        self._durations = Histogram(
            f"{prefix}evaluation_seconds", "Time of all matchConditions for a write.", labels, buckets=CONDITION_BUCKETS, registry=None
        )
        self._unevaluated = Counter(
            "metal3_workloads_admission_evaluation_failures_total",
            "Policies and matchConditions that could not be evaluated or applied.",
            ("name", "kind", "failure_policy"),
            registry=None,
        )

    def collect(self) -> Iterator[Metric]:
        """Return the present values."""
        for metric in (self._failures, self._exclusions, self._durations, self._unevaluated):
            yield from metric.collect()

    def evaluated(self, name: str, kind: str, type: str, operation: str, match: Match) -> None:
        """Count the evaluation of the conditions of one webhook or policy."""
        labels = (name, kind, type, operation)
        self._durations.labels(*labels).observe(match.seconds)
        if match.excluded:
            self._exclusions.labels(*labels).inc()
        if match.error:
            self._failures.labels(*labels).inc()

    def failed(self, name: str, kind: str, *, closed: bool) -> None:
        """Count a policy or a webhook that could not be evaluated, and the effect of its
        failurePolicy."""
        self._unevaluated.labels(name, kind, "Fail" if closed else "Ignore").inc()
