"""Send traces to an OTLP endpoint with the OpenTelemetry SDK, which is an extra.

The trace of an object, such as a Workload's, has the object's uid as its ID. So all processes add
to the same trace, and the uid is enough to look it up.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from apiserver.cli.numbers import between
from apiserver.cli.running import UsageError
from apiserver.client import tracing

NANO = 1_000_000_000
STOP_SECONDS = 3.0
MISSING = "--tracing-endpoint needs the OpenTelemetry SDK: pip install 'metal3-workloads[otel]'"


def add_tracing_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument(
        "--tracing-endpoint",
        default="",
        metavar="URL",
        help="send traces of requests and claims there by OTLP over HTTP, such as http://collector:4318/v1/traces "
        "(needs the extra [otel]; default: no traces)",
    )
    parser.add_argument(
        "--tracing-sampling-ratio",
        type=between(0.0, 1.0, "a ratio"),
        default=1.0,
        metavar="R",
        help="the part of all traces that is sent (default: 1)",
    )


@contextlib.contextmanager
def traced(arguments: argparse.Namespace, service: str) -> Iterator[None]:
    """Trace this process during the block, if its flags say so. Raises UsageError."""
    if not arguments.tracing_endpoint:
        yield
        return
    if not arguments.tracing_endpoint.startswith(("http://", "https://")):
        raise UsageError(f"--tracing-endpoint {arguments.tracing_endpoint}: its URL has to begin with http:// or https://")
    provider = _provider(arguments.tracing_endpoint, service, arguments.tracing_sampling_ratio)
    tracing.active.tracer = OtelTracer(provider, arguments.tracing_sampling_ratio)
    try:
        yield
    finally:
        tracing.active.tracer = None
        # The last spans are sent, but a collector that does not answer delays no restart.
        stopping = threading.Thread(target=provider.shutdown, daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)


def _provider(endpoint: str, service: str, ratio: float) -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise UsageError(MISSING) from None
    made = provider_of(service, ratio)
    # A thread sends the spans. Spans that it cannot send are dropped, and its queue is bounded.
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=5)))
    return made


def provider_of(service: str, ratio: float) -> Any:
    """Return a provider without a processor. A new trace is sampled with this probability."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    resource = Resource.create({"service.name": service, "service.namespace": "metal3-workloads"})
    limits = SpanLimits(max_attributes=32, max_attribute_length=512, max_links=4, max_events=8)
    sampler = ParentBased(TraceIdRatioBased(ratio))
    return TracerProvider(resource=resource, sampler=sampler, span_limits=limits, shutdown_on_exit=False)


class OtelTracer:
    """The tracer (see apiserver.client.tracing) over a provider."""

    def __init__(self, provider: Any, ratio: float) -> None:
        from opentelemetry import propagate, trace

        self._trace, self._propagate, self._ratio = trace, propagate, ratio
        self._tracer = provider.get_tracer("metal3-workloads")

    @contextlib.contextmanager
    def span(self, name: str, attributes: Mapping[str, str]) -> Iterator[_Span]:
        with self._running(name, attributes=attributes) as span:
            yield span

    @contextlib.contextmanager
    def of_object(self, name: str, uid: str, attributes: Mapping[str, str]) -> Iterator[_Span]:
        with self._running(name, context=self._context_of(uid), attributes=attributes) as span:
            yield span

    @contextlib.contextmanager
    def serving(self, name: str, parent: str, *, trusted: bool, attributes: Mapping[str, str]) -> Iterator[_Span]:
        remote = self._propagate.extract({tracing.PARENT: parent}, context=self._trace.set_span_in_context(self._trace.INVALID_SPAN))
        caller = self._trace.get_current_span(remote).get_span_context()
        links = [self._trace.Link(caller)] if caller.is_valid and not trusted else []
        context = remote if trusted else self._trace.set_span_in_context(self._trace.INVALID_SPAN)
        with self._running(name, context=context, links=links, kind=self._trace.SpanKind.SERVER, attributes=attributes) as span:
            yield span

    def finished(self, name: str, seconds: float, *, failed: bool, attributes: Mapping[str, str]) -> None:
        if not self._trace.get_current_span().is_recording():
            return
        end = time.time_ns()
        span = self._tracer.start_span(name, attributes=attributes, start_time=end - int(seconds * NANO))
        if failed:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(end)

    def lived(self, name: str, uid: str, begin: float, attributes: Mapping[str, str]) -> None:
        context = self._context_of(uid)
        self._tracer.start_span(name, context=context, attributes=attributes, start_time=int(begin * NANO)).end()

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier)
        return {name: value for name, value in carrier.items() if name == tracing.PARENT}

    @contextlib.contextmanager
    def _running(self, name: str, **options: Any) -> Iterator[_Span]:
        with self._tracer.start_as_current_span(name, **options) as span:
            yield _Span(span, self._trace.StatusCode.ERROR)

    def _context_of(self, uid: str) -> Any:
        """Return the context in which the object's trace is the current one."""
        number = _number(uid)
        digest = int.from_bytes(sha256(uid.encode()).digest()[:8], "big")
        sampled = digest < self._ratio * 2**64
        flags = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED if sampled else self._trace.TraceFlags.DEFAULT)
        parent = self._trace.SpanContext(number, digest or 1, is_remote=True, trace_flags=flags)
        return self._trace.set_span_in_context(self._trace.NonRecordingSpan(parent))


class _Span:
    def __init__(self, span: Any, error: Any) -> None:
        self._span, self._error = span, error

    def set(self, name: str, value: str | int) -> None:
        self._span.set_attribute(name, value)

    def fail(self, reason: str) -> None:
        self._span.set_status(self._error, reason)


def _number(uid: str) -> int:
    """Return the trace ID of a uid: the UUID's own number, or a hash of other text. It is not 0."""
    try:
        return uuid.UUID(uid).int or 1
    except ValueError:
        return int.from_bytes(sha256(uid.encode()).digest()[:16], "big") or 1
