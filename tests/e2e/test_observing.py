"""Observe dev mode from outside: the trace of a claim, and a log that a collector reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.collector import collecting
from tests.e2e.objects import workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.process import Dev

EXPECTED = {"reconcile scheduler", "reconcile workload", "reconcile host", "patch workloads", "storage update", "time to Running"}


def test_a_claim_is_one_trace_and_each_line_of_the_log_is_json(make_dev: Callable[..., Dev]) -> None:
    with collecting() as collector:
        dev = make_dev("--tracing-endpoint", collector.endpoint, "--log-format", "json").start()
        tenant = dev.user("tenant-a")
        tenant.apply(workload("traced"))
        tenant.wait("workload/traced", "condition=Ready", seconds=60)
        uid = tenant.json("get", "workload", "traced")["metadata"]["uid"]
        assert dev.stop() == 0
        spans = [span for span in collector.spans if span.trace_id.hex() == uid.replace("-", "")]
    names = {span.name for span in spans}
    assert names >= EXPECTED
    by_id = {span.span_id: span for span in spans}
    above = {by_id[span.parent_span_id].name for span in spans if span.name == "storage update" and span.parent_span_id in by_id}
    assert above
    assert {name.split()[0] for name in above} <= {"create", "patch", "update"}
    entries = [json.loads(line) for line in dev.log.splitlines()]
    assert all(entry["ts"].endswith("Z") and entry["level"] and entry["logger"] for entry in entries)
    assert any("traced: Running" in entry["msg"] for entry in entries)
