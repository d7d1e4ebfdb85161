"""Check what `metal3-workloads drain` prints."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from controllers.cli.drain import progress_line, reporting, result
from controllers.drain import progress
from tests.unit.controllers.test_drain import holder
from tests.unit.controllers.test_fleet import CLAIM, FREE, host

HELD = progress(host("node-1", claim=CLAIM), holder())
DRAINED = progress(host("node-0", **FREE), None)


def test_the_result_names_the_holder_and_what_would_free_the_host() -> None:
    head, first, second, _, last = result([DRAINED, HELD]).splitlines()
    assert head.split()[:4] == ["HOST", "CLASS", "STATE", "WORKLOAD"]
    assert first.split() == ["node-0", "metal", "Drained"]
    assert "the tenant of tenant-b deletes the Workload db" in second
    assert last == "Somebody still has a host. Run the same command again to continue."


def test_a_drained_host_needs_no_advice() -> None:
    assert result([DRAINED]).splitlines() == ["HOST     CLASS   STATE", "node-0   metal   Drained"]


def test_a_line_of_progress_is_harmless_for_a_terminal() -> None:
    assert progress_line(DRAINED) == "node-0: Drained"
    assert "\x1b" not in progress_line({**HELD, "message": "\x1b[2J"})


def test_each_change_is_one_line_in_a_pipe() -> None:
    out = StringIO()
    with reporting(Console(file=out, width=20, highlight=False)) as report:
        report([DRAINED, HELD])
        report([DRAINED, HELD])
        report([DRAINED, {**HELD, "state": "Releasing"}])
    lines = out.getvalue().splitlines()
    assert lines == ["node-0: Drained", progress_line(HELD), progress_line({**HELD, "state": "Releasing"})]


def test_a_terminal_shows_how_many_hosts_are_drained() -> None:
    out = StringIO()
    with reporting(Console(file=out, width=80, force_terminal=True, highlight=False)) as report:
        report([DRAINED, HELD])
    assert "1/2" in out.getvalue()
