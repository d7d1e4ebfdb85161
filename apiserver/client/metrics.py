"""Count the requests of all clients of this process under client-go's names.

The metrics are in no registry. Each program that exports metrics registers COLLECTORS."""

from __future__ import annotations

from prometheus_client import Counter, Histogram
from prometheus_client.registry import Collector

BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
UNANSWERED = "<error>"
"""The code of requests without an answer, as in client-go."""

REQUESTS = Counter(
    "rest_client_requests_total",
    "Requests of this process by the code of the answer, the method and the server's host.",
    ["code", "method", "host"],
    registry=None,
)
DURATIONS = Histogram(
    "rest_client_request_duration_seconds",
    "Time until the head of an answer arrived.",
    ["verb", "host"],
    buckets=BUCKETS,
    registry=None,
)
COLLECTORS: tuple[Collector, ...] = (REQUESTS, DURATIONS)


def count(method: str, host: str, code: str, seconds: float) -> None:
    """Count one request. `host` is part of a kubeconfig, so that it has few values."""
    REQUESTS.labels(code, method, host).inc()
    DURATIONS.labels(method, host).observe(seconds)
