"""Observe dev mode from outside: the trace of a claim, and a log that a collector reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
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


def test_kubectl_completes_the_plugins_commands_and_the_names_of_hosts(make_dev: Callable[..., Dev]) -> None:
    owner = make_dev().start().user("owner")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "KUBECONFIG": str(owner.kubeconfig)}

    def completed(*words: str) -> list[str]:
        command = [str(owner.binary), "__complete", "metal3", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()

    assert "why\texplain what a Workload waits for, and what would free it" in completed("")
    *names, directive = completed("history", "host-")
    assert [name.partition("\t")[0] for name in names] == [f"host-{number}" for number in range(4)]
    assert directive == ":4"
