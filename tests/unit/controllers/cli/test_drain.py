"""Check what `metal3-workloads drain` prints."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from apiserver.cli.progress import reporting
from controllers.cli.drain import progress_line, result, tell
from controllers.drain import progress
from tests.unit.controllers.test_drain import holder
from tests.unit.controllers.test_fleetreport import CLAIM, FREE, host

HELD = progress(host("node-1", claim=CLAIM), holder())
DRAINED = progress(host("node-0", **FREE), None)


def test_the_result_names_the_holder_and_what_would_free_the_host() -> None:
    head, first, second, _, last = result([DRAINED, HELD]).splitlines()
    assert head.split()[:4] == ["HOST", "CLASS", "STATE", "WORKLOAD"]
    assert first.split() == ["node-0", "metal", "Drained"]
    assert "the tenant of tenant-b deletes the Workload db" in second
    assert last == "Some hosts are still in use. Run the same command again to continue."


def test_a_drained_host_needs_no_advice() -> None:
    assert result([DRAINED]).splitlines() == ["HOST     CLASS   STATE", "node-0   metal   Drained"]


def test_each_change_is_one_line_in_a_pipe() -> None:
    out = StringIO()
    with reporting("drained", Console(file=out, width=20, highlight=False)) as reporter:
        report = tell(reporter)
        report([DRAINED, HELD])
        report([DRAINED, HELD])
        report([DRAINED, {**HELD, "state": "Releasing"}])
    lines = out.getvalue().splitlines()
    assert lines == ["node-0: Drained", progress_line(HELD), progress_line({**HELD, "state": "Releasing"})]
