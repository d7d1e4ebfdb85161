"""Measure how long a request waits for its seats and for webhooks.

apiserver_request_sli_duration_seconds leaves these waits out, as in kube-apiserver."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class LatencyTracker:
    """The seconds that one request has waited."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


_current: ContextVar[LatencyTracker | None] = ContextVar("latency_tracker", default=None)


@contextmanager
def track_latency() -> Iterator[LatencyTracker]:
    """Collect the waits of the request that is handled in the block."""
    tracker = LatencyTracker()
    token = _current.set(tracker)
    try:
        yield tracker
    finally:
        _current.reset(token)


@contextmanager
def track_wait() -> Iterator[None]:
    """Count the time of the block as a wait of the running request, if there is one."""
    tracker = _current.get()
    if tracker is None:
        yield
        return
    began = time.perf_counter()
    try:
        yield
    finally:
        tracker.seconds += time.perf_counter() - began
