"""Check what `metal3-workloads fleet` prints."""

from __future__ import annotations

from typing import Any

from controllers.cli.fleet import content, shown, trees
from controllers.cli.tables import Screen
from tests.unit.controllers.test_fleetreport import FLEET, host, workload

TERMINAL = Screen(width=80, styled=True)


def lost(name: str = "other") -> dict[str, Any]:
    reported = {"type": "Connected", "status": "False", "reason": "Unreachable", "message": "https://bmc.example.com does not answer"}
    return {"metadata": {"name": name}, "status": {"conditions": [reported]}}


def test_a_table_has_classes_and_hosts() -> None:
    text = shown([], FLEET, [])
    assert "UNAVAILABLE BECAUSE" in text
    assert "tenant-b/db" in text
    assert "WHAT IS WRONG" not in text


def test_what_is_wrong_with_classes_and_workloads_is_reported() -> None:
    text = shown([lost()], FLEET, [workload()])
    assert "other   Unreachable   https://bmc.example.com does not answer" in text
    assert "tenant-a/web   metal   NoHostFits   0/3 hosts are available" in text


def test_json_has_the_same() -> None:
    found = content([], FLEET, [workload()])
    assert sorted(found) == ["classes", "hosts", "troubles"]
    assert (len(found["hosts"]), len(found["troubles"])) == (len(FLEET), 1)


def test_a_large_fleet_fits_on_one_screen_with_its_troubles_first() -> None:
    fleet = [host(f"node-{number:04}", available=True) for number in range(1000)]
    fleet.append(host("node-x", available=False, reason="HostError", message="see it", errorMessage="the disk is " + "broken " * 30))
    waiting = [workload() for _ in range(500)]
    lines = shown([lost(f"class-{number}") for number in range(50)], fleet, waiting, on=TERMINAL).splitlines()
    assert len(lines) <= 40
    assert any("node-x" in line for line in lines)
    assert sum(": -o json has all" in line for line in lines) == 4


def test_a_tree_has_the_holders_of_each_class() -> None:
    text = trees(FLEET)
    assert "metal: 4 hosts, 2 free, 1 claimed, 1 unavailable" in text
    assert "c: db" in text
    assert "b Quarantined" in text


def test_reservations_have_columns_where_there_are_any() -> None:
    kept = host("a", available=True)
    kept["spec"]["reservedFor"] = {"namespace": "tenant-b", "namespaceUID": "1", "name": "launch", "uid": "2"}
    text = shown([], [kept], [])
    assert "RESERVED FOR" in text
    assert "tenant-b/launch" in text
    assert "RESERVED" not in shown([], FLEET, [])
