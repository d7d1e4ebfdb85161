"""Measure calls of webhooks under kube-apiserver's names.

The label `name` is a webhook's name in its configuration, which the cluster's administrator
writes."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from apiserver.client import tracing

BUCKETS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0)
PREFIX = "apiserver_admission_webhook_"


class WebhookMetrics(Collector):
    """The metrics of all webhooks of one server."""

    def __init__(self) -> None:
        called = ("name", "type", "operation", "rejected")
        self._durations = Histogram(
            f"{PREFIX}admission_duration_seconds", "Time of a webhook's call.", called, buckets=BUCKETS, registry=None
        )
        self._requests = Counter(f"{PREFIX}request_total", "Calls of webhooks.", (*called, "code"), registry=None)
        refused = ("name", "type", "operation", "error_type", "rejection_code")
        # Counters, but the library would append _total to their names.
        self._rejections = Gauge(f"{PREFIX}rejection_count", "Writes that a webhook, or its failure, refused.", refused, registry=None)
        self._failures = Gauge(f"{PREFIX}fail_open_count", "Writes that a failing webhook did not stop.", ("name", "type"), registry=None)

    def collect(self) -> Iterator[Metric]:
        """Return the present values."""
        for metric in (self._durations, self._requests, self._rejections, self._failures):
            yield from metric.collect()

    def answered(self, name: str, kind: str, operation: str, seconds: float, *, allowed: bool, code: int) -> None:
        """Count a call that was answered. `kind` is admit or validating."""
        self._called(name, kind, operation, seconds, rejected=not allowed, code=code)
        if not allowed:
            self._rejections.labels(name, kind, operation, "no_error", str(code)).inc()

    def failed(self, name: str, kind: str, operation: str, seconds: float, *, closed: bool) -> None:
        """Count a call without a usable answer, and whether the write was refused for it."""
        self._called(name, kind, operation, seconds, rejected=closed, code=500)
        if closed:
            self._rejections.labels(name, kind, operation, "calling_webhook_error", "500").inc()
        else:
            self._failures.labels(name, kind).inc()

    def _called(self, name: str, kind: str, operation: str, seconds: float, *, rejected: bool, code: int) -> None:
        labels = (name, kind, operation, str(rejected).lower())
        self._durations.labels(*labels).observe(seconds)
        self._requests.labels(*labels, str(code)).inc()
        if (tracer := tracing.active.tracer) is not None:
            tracer.finished(f"webhook {name}", seconds, failed=rejected, attributes={"k8s.webhook.type": kind})
