"""Meter machines: report which tenants had them, and for how long. Killed programs and deleted
Workloads do not change the report."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

from hack.demos import command
from hack.demos.story import Story
from tests.integration import running
from tests.integration.objects import workload
from tests.integration.running import ADMIN, Running, eventually

TENANTS = ("a", "b")
NAME = "metered"
RECORDS, WORKLOADS = "usagerecords.workload.metal3.io", "workloads.workload.metal3.io"
AMOUNTS = ("allocatedSeconds", "poweredOnSeconds")

Object = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration on clusters of its own. Return the exit code."""
    return command.run(arguments, tell, "--hosts", "3", "--tenants", ",".join(TENANTS), name="usage", description=__doc__)


def tell(cluster: Running) -> None:
    """Run the demonstration on a cluster whose hosts are free. Raises AssertionError at the first
    step with another result."""
    story = Story("Who had the machines, and for how long")
    begin = int(time.time())
    _taken(story, cluster)
    middle = _reported(story, cluster, begin)
    _killed(story, cluster, begin, middle)
    end = _released(story, cluster, begin)
    _added_up(story, cluster, begin, middle, end)
    story.end()


def _taken(story: Story, cluster: Running) -> None:
    story.step("Two tenants take a machine each, and one of them powers its machine off")
    for tenant in TENANTS:
        cluster.kubectl(tenant, "create", "-f", "-", stdin=workload(NAME))
    for tenant in TENANTS:
        story.show(cluster, tenant, "wait", f"{WORKLOADS}/{NAME}", "--for=jsonpath={.status.phase}=Running", "--timeout=120s")
    story.show(cluster, "b", "patch", WORKLOADS, NAME, "--type=merge", "-p", '{"spec": {"online": false}}')
    story.show(cluster, "b", "wait", f"{WORKLOADS}/{NAME}", "--for=jsonpath={.status.phase}=Stopped", "--timeout=120s")
    story.show(cluster, ADMIN, "get", RECORDS)


def _reported(story: Story, cluster: Running, begin: int) -> int:
    story.step("The owner asks who had machines")
    eventually(lambda: _differs(cluster, begin))
    for line in usage(cluster, "table", begin).splitlines():
        story.print_line(line)
    refused = cluster.try_kubectl("a", "get", RECORDS)
    assert "forbidden" in refused.stderr, refused.stdout + refused.stderr
    story.checked("each tenant has a row, a machine that is off has only allocated seconds, and tenants cannot read the records")
    return int(time.time())


def _differs(cluster: Running, begin: int) -> bool:
    """Return whether a's machine was powered on for longer than b's."""
    seconds = _seconds(cluster, begin)
    return seconds["a"][1] - seconds["b"][1] >= 3


def _killed(story: Story, cluster: Running, begin: int, middle: int) -> None:
    story.step("The API server and the controllers are killed")
    before = _seconds(cluster, begin, middle)
    for program in ("apiserver", "controllers"):
        running.restart(cluster, program, "--kill")
    eventually(lambda: cluster.try_kubectl(ADMIN, "get", RECORDS).returncode == 0, seconds=90)
    assert _seconds(cluster, begin, middle) == before
    later = _seconds(cluster, begin)
    assert later["a"][0] > before["a"][0], "the time in between counts"
    story.checked("the report of the time before is the same, and the time in between is counted")


def _released(story: Story, cluster: Running, begin: int) -> int:
    story.step("Both tenants delete their Workloads")
    for tenant in TENANTS:
        story.show(cluster, tenant, "delete", WORKLOADS, NAME, "--timeout=120s")
    eventually(lambda: not _in_use(cluster), seconds=120)
    end = int(time.time()) + 1
    seconds = _seconds(cluster, begin, end)
    eventually(lambda: time.time() > end + 1)
    assert _seconds(cluster, begin) == seconds
    story.checked("the report still has both, and counts on for none")
    return end


def _in_use(cluster: Running) -> list[str]:
    """Return the hosts that belong to the tenants."""
    records = [one["spec"] for one in cluster.items(ADMIN, RECORDS)]
    return [spec["host"] for spec in records if (spec.get("current") or {}).get("namespace") in TENANTS]


def _added_up(story: Story, cluster: Running, begin: int, middle: int, end: int) -> None:
    story.step("The report is read by a program")
    text = usage(cluster, "csv", begin, end)
    for line in text.splitlines():
        story.print_line(line)
    rows = list(csv.DictReader(StringIO(text)))
    total = json.loads(usage(cluster, "json", begin, end))["total"]
    halves = [json.loads(usage(cluster, "json", *times))["total"] for times in ((begin, middle), (middle, end))]
    for amount in AMOUNTS:
        assert sum(int(row[amount]) for row in rows) == total[amount] == sum(half[amount] for half in halves), (amount, rows, halves)
    story.checked("rows add up to the total, and so do two periods that adjoin")


def _seconds(cluster: Running, begin: int, end: int | None = None) -> dict[str, tuple[int, int]]:
    """Return the allocated and the powered-on seconds of each namespace."""
    rows = json.loads(usage(cluster, "json", begin, end))["rows"]
    return {row["namespace"]: (row["allocatedSeconds"], row["poweredOnSeconds"]) for row in rows}


def usage(cluster: Running, form: str, begin: int, end: int | None = None) -> str:
    """Return what `metal3-workloads usage` prints for the owner."""
    program = str(Path(sys.executable).with_name("metal3-workloads"))
    times = ["--from", _time(begin), *(["--to", _time(end)] if end is not None else [])]
    argv = [program, "usage", *times, "-o", form, "--kubeconfig", cluster.kubeconfig(ADMIN)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def _time(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
