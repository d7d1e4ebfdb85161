"""Check what a drain says about hosts, how it chooses them, and that it ends no claim.

The API server, its store and the controllers are the real ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from controllers import kinds
from controllers.drain import DRAINED, GONE, HELD, RELEASING, Options, chosen, cordon, drain, drained, progress
from controllers.resumable import Blocked
from tests.unit.controllers.clusters import BMH
from tests.unit.controllers.managementclusters import NAMESPACE, Killed, MortalClient, eventually, management_clusters
from tests.unit.controllers.test_fleetreport import CLAIM, host

if TYPE_CHECKING:
    from pathlib import Path

    from controllers.fleetreport import Row


def holder(**changes: Any) -> dict[str, Any]:
    """Return the Workload of CLAIM."""
    metadata = {**CLAIM, **changes.pop("metadata", {})}
    return {"metadata": metadata, "spec": changes}


@pytest.mark.parametrize(
    ("seen", "workload", "state", "to_free"),
    [
        (host("a", available=True), None, DRAINED, ""),
        (host("a", available=False, reason="Quarantined", message="look at it"), None, DRAINED, ""),
        (host("a", available=False, reason="Releasing"), None, RELEASING, "it ends by itself"),
        (host("a", available=False, reason="InUse", message="Machine x has it"), None, HELD, "Machine x has it"),
        (host("a", available=False, reason="Orphaned", message="recover it"), None, HELD, "recover it"),
        (host("a", claim=CLAIM), holder(metadata={"deletionTimestamp": "t"}), RELEASING, "it ends by itself"),
        (host("a", claim=CLAIM), None, HELD, "you decide: docs/operating.md, Claims without a consumer"),
        (
            host("a", claim=CLAIM),
            holder(),
            HELD,
            "the tenant of tenant-b deletes the Workload db, when nothing on it is needed, which wipes it",
        ),
        (
            host("a", claim=CLAIM),
            holder(reclaimPolicy="Retain"),
            HELD,
            "the tenant of tenant-b deletes the Workload db, when nothing on it is needed, which leaves what runs there",
        ),
        (
            host("a", claim=CLAIM),
            holder(metadata={"labels": {kinds.CLAIMED_THROUGH: "view"}}, consumerRef={"kind": "Metal3Machine", "name": "m-0"}),
            HELD,
            "the owner of Metal3Machine m-0 in tenant-b deletes or replaces it, which wipes it",
        ),
    ],
)
def test_the_progress_of_each_host_names_its_holder_and_what_would_free_it(
    seen: dict[str, Any], workload: dict[str, Any] | None, state: str, to_free: str
) -> None:
    row = progress(seen, workload)
    assert (row["host"], row["state"], row["to_free"]) == ("a", state, to_free)


def test_names_must_be_of_one_host_each() -> None:
    twins = [host("a", class_="one"), {**host("a", class_="other"), "metadata": {"name": "uuid-b", "uid": "2"}}, host("c")]
    twins = [{**one, "metadata": {"uid": one["metadata"]["name"], **one["metadata"]}} for one in twins]
    assert chosen(twins, ["uuid-b", "c", "c"]) == twins[1:]
    with pytest.raises(Blocked, match="several hosts are named a"):
        chosen(twins, ["c", "a"])
    with pytest.raises(Blocked, match="there is no host nowhere"):
        chosen(twins, ["c", "nowhere"])


async def test_a_drain_waits_for_the_tenant_and_touches_no_claim(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        hardware = await maker.hardware("h1")
        cluster = await maker.cluster("source", below=hardware)
        await cluster.create("w")
        await eventually(lambda: _phase(cluster, "Running"))
        [found] = (await cluster.admin.list_all(kinds.HOSTS))[0]
        before = hardware.api.get(BMH, "h1", "metal3")["spec"]
        seen: list[Row] = []

        def report(rows: list[Row]) -> None:
            seen.extend(rows)

        [row] = await drain(cluster.admin, Options(hosts=[found], timeout=1.0), report)
        assert (row["state"], row["workload"]) == (HELD, f"{NAMESPACE}/w")
        assert hardware.api.get(BMH, "h1", "metal3")["spec"] == before
        assert await _phase(cluster, "Running")
        waiting = asyncio.create_task(drain(cluster.admin, Options(hosts=[found], timeout=60.0), report))
        await cluster.admin.delete(kinds.WORKLOADS, "w", NAMESPACE)
        rows = await waiting
        assert drained(rows)
        assert [one["state"] for one in seen][-1] == DRAINED
        await cluster.create("next")
        await eventually(lambda: _waits(cluster, "next"))
        [kept] = (await cluster.admin.list_all(kinds.HOSTS))[0]
        assert kept["status"]["phase"] == "Unavailable"
        await cordon(cluster.admin, kept, unschedulable=False)
        await eventually(lambda: _phase(cluster, "Running", "next"))


async def _phase(cluster: Any, phase: str, name: str = "w") -> bool:
    return bool(((await cluster.workload(name)).get("status") or {}).get("phase") == phase)


async def _waits(cluster: Any, name: str) -> bool:
    conditions = (await cluster.workload(name))["status"]["conditions"]
    return any((item["type"], item["status"]) == ("Bound", "False") for item in conditions)


async def test_a_drain_that_is_killed_after_a_write_continues(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        hardware = await maker.hardware("h1", "h2")
        cluster = await maker.cluster("source", below=hardware)
        await eventually(lambda: _all_free(cluster, 2))
        client = MortalClient(cluster.config("admin", "system:masters"))
        client.lives = [1]
        async with client:
            hosts = (await client.list_all(kinds.HOSTS))[0]
            with pytest.raises(Killed):
                await drain(client, Options(hosts=hosts, timeout=60.0), lambda rows: None)
            hosts = (await client.list_all(kinds.HOSTS))[0]
            assert sum(bool(one["spec"].get("unschedulable")) for one in hosts) == 1
            assert drained(await drain(client, Options(hosts=hosts, timeout=60.0), lambda rows: None))
            hosts = (await client.list_all(kinds.HOSTS))[0]
            assert all(one["spec"]["unschedulable"] for one in hosts)


async def test_a_dry_run_changes_nothing_and_a_host_that_is_gone_is_free(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        hardware = await maker.hardware("h1")
        cluster = await maker.cluster("source", below=hardware)
        await eventually(lambda: _all_free(cluster, 1))
        hosts = (await cluster.admin.list_all(kinds.HOSTS))[0]
        await drain(cluster.admin, Options(hosts=hosts, dry_run=True), lambda rows: None)
        assert (await cluster.admin.list_all(kinds.HOSTS))[0] == hosts
        other = [{**hosts[0], "metadata": {**hosts[0]["metadata"], "uid": "earlier"}}]
        [row] = await drain(cluster.admin, Options(hosts=other, dry_run=True), lambda rows: None)
        assert row["state"] == GONE


async def _all_free(cluster: Any, count: int) -> bool:
    """Return whether so many hosts are free and offered: their controllers write nothing more."""
    hosts = (await cluster.admin.list_all(kinds.HOSTS))[0]
    return len(hosts) == count and all((one.get("status") or {}).get("phase") == "Available" and one["spec"].get("offers") for one in hosts)
