"""Check the traces of requests and of claims, and that there are none unless they are asked for."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from apiserver.cli.otel import OtelTracer, add_tracing_flags, provider_of, traced
from apiserver.cli.running import UsageError
from apiserver.client import tracing
from controllers.runtime.controller import Controller, Result
from tests.collector import collecting
from tests.unit.apiserver.server.harness import CLIENTS, Setup, serving
from tests.unit.controllers.fakeapi import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

THING = "/apis/g/v1/namespaces/a/things/x"
TRACE, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = f"00-{TRACE}-{CALLER_SPAN}-01"
UID = "7d3f1c9e-0f5a-4c62-9d0c-1b2a3c4d5e6f"


@contextmanager
def tracer(ratio: float = 1.0) -> Iterator[InMemorySpanExporter]:
    """Trace into memory during the block."""
    exporter, provider = InMemorySpanExporter(), provider_of("test", ratio)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.active.tracer = OtelTracer(provider, ratio)
    try:
        yield exporter
    finally:
        tracing.active.tracer = None
        provider.shutdown()


def named(exporter: InMemorySpanExporter) -> dict[str, Any]:
    return {span.name: span for span in exporter.get_finished_spans()}


def trace_of(span: Any) -> str:
    return format(span.context.trace_id, "032x")


async def served(user: str) -> Any:
    """Return the span of one request whose caller sent its own span."""
    with tracer() as exporter:
        async with serving(Setup()) as port:
            status, _ = await port.identity(CLIENTS.issue(user), path=THING, headers={tracing.PARENT: CALLER, "Audit-ID": "an-id"})
            assert status == 200
        (span,) = exporter.get_finished_spans()
    return span


async def test_a_request_has_a_span_that_only_our_own_callers_are_parents_of() -> None:
    ours, tenants = await served("system:metal3-workloads:controllers"), await served("alice")
    for span in (ours, tenants):
        assert (span.name, span.kind.name) == ("get things", "SERVER")
        assert span.attributes["http.response.status_code"] == 200
        assert span.attributes["audit-id"] == "an-id"
        assert span.attributes["k8s.namespace.name"] == "a"
    assert (trace_of(ours), format(ours.parent.span_id, "016x")) == (TRACE, CALLER_SPAN)
    assert trace_of(tenants) != TRACE, "a tenant does not decide what is sampled"
    assert tenants.parent is None
    (link,) = tenants.links
    assert format(link.context.trace_id, "032x") == TRACE


async def test_an_objects_trace_has_its_uid_and_holds_what_is_done_for_it() -> None:
    with tracer() as exporter:
        active = tracing.active.tracer
        assert active is not None
        with active.of_object("reconcile workload", UID, {"k8s.object.key": "a/b"}), active.span("POST host", {}):
            assert active.headers()[tracing.PARENT].split("-")[1] == uuid.UUID(UID).hex
            active.finished("storage create", 2.0, failed=True, attributes={})
        active.lived("time to Running", UID, 1_800_000_000.0, {})
        spans = named(exporter)
    assert {trace_of(span) for span in spans.values()} == {uuid.UUID(UID).hex}
    assert spans["POST host"].parent.span_id == spans["reconcile workload"].context.span_id
    stored = spans["storage create"]
    assert stored.parent.span_id == spans["POST host"].context.span_id
    assert (stored.end_time - stored.start_time, stored.status.is_ok) == (2_000_000_000, False)
    assert spans["time to Running"].start_time == 1_800_000_000 * 10**9


async def test_reconciles_are_in_the_trace_of_their_object() -> None:
    done: list[str] = []

    async def reconcile(key: str) -> Result | None:
        done.append(key)
        return None

    with tracer() as exporter:
        controller = Controller("workload", reconcile, traced=lambda key: UID if key == "known" else "")
        for key in ("known", "unknown"):
            controller.queue.add(key)
        task = asyncio.ensure_future(controller.run())
        await eventually(lambda: len(done) == 2 and controller.queue.idle)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        (span,) = exporter.get_finished_spans()
    assert (span.name, trace_of(span), (span.attributes or {})["k8s.object.key"]) == ("reconcile workload", uuid.UUID(UID).hex, "known")


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.5, 300, 700), (1.0, 1000, 1000)])
def test_whole_objects_are_sampled(ratio: float, least: int, most: int) -> None:
    with tracer(ratio) as exporter:
        active = tracing.active.tracer
        assert active is not None
        uids = [str(uuid.uuid5(uuid.UUID(UID), str(number))) for number in range(1000)]
        for uid in uids * 2:
            with active.of_object("x", uid, {}):
                pass
        spans = exporter.get_finished_spans()
    sampled = {span.context.trace_id for span in spans}
    assert least <= len(sampled) <= most
    assert len(spans) == 2 * len(sampled)


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_tracing_flags(parser)
    return parser.parse_args(given)


def test_spans_reach_the_collector_before_the_process_ends() -> None:
    with collecting() as collector:
        with traced(arguments("--tracing-endpoint", collector.endpoint), "of-the-test"):
            active = tracing.active.tracer
            assert active is not None
            with active.span("one", {"a": "b"}):
                pass
        (message,) = collector.received
    (resource,) = message.resource_spans
    assert "of-the-test" in str(resource.resource)
    assert [span.name for span in collector.spans] == ["one"]


def test_wrong_flags_are_refused() -> None:
    with pytest.raises(UsageError, match="has to begin with http"), traced(arguments("--tracing-endpoint", "collector:4318"), "x"):
        pass
    with pytest.raises(SystemExit):
        arguments("--tracing-sampling-ratio", "2")


def test_without_the_flag_nothing_of_opentelemetry_is_imported() -> None:
    script = (
        "import sys\nimport apiserver.cli.serve, controllers.cli.controllers, controllers.cli.dev\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_sdk_is_named_with_the_way_to_install_it() -> None:
    script = (
        "import sys\nsys.modules['opentelemetry'] = None\nimport argparse\nfrom apiserver.cli.otel import add_tracing_flags, traced\n"
        "parser = argparse.ArgumentParser()\nadd_tracing_flags(parser)\n"
        "given = parser.parse_args(['--tracing-endpoint', 'http://127.0.0.1:4318/v1/traces'])\n"
        "try:\n    with traced(given, 'x'): pass\nexcept Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "UsageError --tracing-endpoint needs the OpenTelemetry SDK: pip install 'metal3-workloads[otel]'"
