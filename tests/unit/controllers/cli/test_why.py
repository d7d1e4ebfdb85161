"""Check what `metal3-workloads why` prints."""

from __future__ import annotations

from controllers.cli.why import SHOWN, shown
from controllers.fleet import why
from tests.unit.controllers.test_fleet import FLEET, FREE, host, workload


def test_the_answer_begins_with_the_condition() -> None:
    first, second, *_ = shown(why(workload(), FLEET, "uid-a")).splitlines()
    assert first == "tenant-a/web is Pending (NoHostFits), of class metal:"
    assert second.strip() == "0/3 hosts are available"


def test_a_tenant_gets_the_condition_alone() -> None:
    assert len(shown(why(workload(), [], "")).splitlines()) == 2


def test_a_large_fleet_fits_on_a_screen() -> None:
    lines = shown(why(workload(), [host(f"h{number}", **FREE) for number in range(500)], "uid-a")).splitlines()
    assert len(lines) <= SHOWN + 5
    assert lines[-1].startswith("... and 480 more")
