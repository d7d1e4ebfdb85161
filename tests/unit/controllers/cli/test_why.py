"""Check what `metal3-workloads why` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apiserver.cli.running import UsageError
from controllers.cli.why import SHOWN, _explained, shown
from controllers.fleetreport import gang_row, why, why_set
from tests.unit.controllers.managementclusters import NAMESPACE, management_clusters
from tests.unit.controllers.test_fleetreport import FLEET, FREE, gang_member, host, set_, workload

if TYPE_CHECKING:
    from pathlib import Path


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


def test_a_member_of_a_gang_and_a_set_is_explained_with_both() -> None:
    member = gang_member(1)
    found = {**why(member, FLEET, "uid-a"), "gang": gang_row(member, [member, gang_member(0)]), "workloadset": "db"}
    lines = shown(found).splitlines()
    assert lines[2].strip() == "its gang ring has 2 members, 0 of them with a host; 3 get one together"
    assert lines[3].strip() == "it is a member of the WorkloadSet db: metal3-workloads why workloadset/db -n tenant-a"


def test_the_explanation_of_a_set_fits_on_one_screen() -> None:
    members = [gang_member(number, bound=number > 900) for number in range(1000)]
    lines = shown(why_set(set_("Scaling", "1000 of 1000 members exist", replicas=1000), members)).splitlines()
    assert lines[0] == "WorkloadSet tenant-a/db is progressing (Scaling), of class metal; 0 of 1000 members are available:"
    assert lines[1].strip() == "1000 of 1000 members exist"
    assert lines[3].split()[:2] == ["MEMBER", "PHASE"]
    assert lines[4].split()[:3] == ["db-0", "Pending", "NoHostFits"]
    assert len(lines) <= SHOWN + 6
    assert lines[-1].startswith("... and 980 more")


async def test_a_name_means_a_workload_and_then_a_set(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        cluster = await maker.cluster("source", below=await maker.hardware("h1"))
        for name in ("db", "w"):
            await cluster.empty_set(name)
        await cluster.create("w", gang={"name": "ring", "minAvailable": 2})
        assert (await _explained(cluster.admin, "db", NAMESPACE))["workloadset"] == f"{NAMESPACE}/db"
        found = await _explained(cluster.admin, "w", NAMESPACE)
        assert (found["workload"], found["gang"]["members"]) == (f"{NAMESPACE}/w", 1)
        assert (await _explained(cluster.admin, "workload/w", NAMESPACE))["workload"] == f"{NAMESPACE}/w"
        assert (await _explained(cluster.admin, "workloadset/w", NAMESPACE))["workloadset"] == f"{NAMESPACE}/w"
        for name, kind in (("none", "Workload"), ("workloadset/none", "WorkloadSet")):
            with pytest.raises(UsageError, match=f"there is no {kind} none in the namespace {NAMESPACE}"):
                await _explained(cluster.admin, name, NAMESPACE)
