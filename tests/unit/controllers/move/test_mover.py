"""Move Workloads between real API servers, there and back, with the command killed after every
write. Their machine is provisioned once."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from controllers import kinds
from controllers.move.mover import Mover, Options, Summary
from controllers.move.plan import HELD, MOVED_TO
from controllers.resumable import Blocked
from tests.unit.controllers.clusters import BMH
from tests.unit.controllers.managementclusters import (
    NAMESPACE,
    Hardware,
    Killed,
    ManagementCluster,
    ManagementClusters,
    MortalClient,
    eventually,
    management_clusters,
)
from tests.unit.controllers.reporters import Lines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

OWNED = {"kind": "Metal3Machine", "name": "m", "namespace": NAMESPACE, "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1"}


@asynccontextmanager
async def clusters(folder: Path) -> AsyncIterator[tuple[Hardware, ManagementCluster, ManagementCluster, ManagementClusters]]:
    async with management_clusters(folder) as maker:
        hardware = await maker.hardware("h1")
        source, target = await maker.cluster("source", below=hardware), await maker.cluster("target")
        await target.relay(source.tenant())
        yield hardware, source, target, maker


class Disturbed(MortalClient):
    """Let the first host change just before the command writes to it."""

    disturbed = False

    async def request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        if method == "PATCH" and "/baremetalhosts/" in path and not self.disturbed:
            self.disturbed = True
            await super().request(method, path, **{**more, "body": {"metadata": {"annotations": {"example.com/reported": "again"}}}})
        return await super().request(method, path, **more)


async def move(
    source: ManagementCluster,
    target: ManagementCluster,
    *,
    lives: int = 0,
    said: Lines | None = None,
    client_type: type[MortalClient] = MortalClient,
    config: dict[str, Any] | None = None,
    **options: Any,
) -> Summary:
    """Run the command once. `config` is the kubeconfig for the source, an administrator's
    without."""
    left = [lives]
    configs = [config or source.config("admin", "system:masters"), target.config("admin", "system:masters")]
    clients = [client_type(one) for one in configs]
    for client in clients:
        client.lives = left
    async with clients[0] as current, clients[1] as other:
        mover = Mover(current, other, Options(namespace=NAMESPACE, timeout=60.0, **options), said if said is not None else Lines())
        return await mover.run()


async def running(cluster: ManagementCluster, name: str = "w") -> bool:
    return bool((await cluster.workload(name))["status"]["phase"] == "Running")


async def names_of_secrets(cluster: ManagementCluster) -> list[str]:
    return sorted(item["metadata"]["name"] for item in (await cluster.admin.list_all(kinds.SECRETS, NAMESPACE))[0])


async def provisioned(source: ManagementCluster) -> None:
    await source.secret("boot", userData="#cloud-config")
    await source.create("w", userData={"name": "boot"})
    await eventually(lambda: running(source))


async def test_a_host_that_changes_meanwhile_is_given_back(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, source, target, _):
        await provisioned(source)
        await move(source, target)
        await eventually(lambda: running(target))
        summary = await move(target, source, client_type=Disturbed)
        assert summary.moved == ["w"]
        await eventually(lambda: running(source))
        assert (await source.view())["metadata"]["annotations"]["example.com/reported"] == "again"
        assert hardware.bmo.log == [("h1", "http://images.example/os")]


async def test_there_and_back_killed_after_every_write(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, source, target, _):
        await provisioned(source)
        killed = [True, True]
        lives = 0
        while any(killed):
            lives += 1
            for way, (current, other) in enumerate(((source, target), (target, source))):
                killed[way] = False
                try:
                    await move(current, other, lives=lives)
                except Killed:
                    killed[way] = True
                    assert hardware.api.get(BMH, "h1", "metal3")["spec"]["consumerRef"], "always somebody's"
                    await move(current, other)
                await eventually(lambda other=other: running(other))  # type: ignore[misc] # mypy does not infer the defaults of lambdas
                assert (await other.workload("w"))["spec"]["userData"]["name"] == "boot"
                assert hardware.bmo.log == [("h1", "http://images.example/os")], f"provisioned again after {lives} writes"
                if current is source:
                    assert MOVED_TO in (await source.workload("w"))["metadata"]["annotations"]
                    assert "boot" not in await names_of_secrets(source)
                else:
                    assert await target.workloads() == []
                    assert await names_of_secrets(source) == ["boot"]
                    assert await names_of_secrets(target) == []
        assert lives > 5
        keeper = await source.workload("w")
        assert "consumerRef" not in keeper["spec"]
        assert MOVED_TO not in (keeper["metadata"].get("annotations") or {})


async def test_what_waits_for_a_host_is_made_again_killed_after_every_write(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        source, target = await maker.cluster("source"), await maker.cluster("target")
        await source.secret("boot", userData="x")
        lives, killed = 0, True
        current, other = source, target
        await source.create("w", userData={"name": "boot"}, hostSelector={"matchLabels": {"a": "b"}})
        while killed:
            lives += 1
            try:
                await move(current, other, lives=lives, class_name="metal")
                killed = False
            except Killed:
                assert await source.workloads() + await target.workloads(), "it is never lost"
                await move(current, other, class_name="metal")
            assert await current.workloads() == []
            [made] = await other.workloads()
            assert "hostRef" not in made["spec"]
            assert HELD not in made["metadata"]["annotations"]
            assert made["spec"]["hostSelector"] == {"matchLabels": {"a": "b"}}
            assert (await names_of_secrets(current), await names_of_secrets(other)) == ([], ["boot"])
            current, other = other, current
        assert lives > 3


async def test_one_that_gets_its_host_in_the_midst(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (hardware, source, target, _):
        await source.create("w", hostSelector={"matchLabels": {"late": "yes"}})
        with pytest.raises(Killed):
            await move(source, target, lives=1)
        hardware.api.edit(BMH, "h1", {"metadata": {"labels": {"late": "yes"}}}, "metal3")
        await eventually(lambda: running(source))
        await move(source, target)
        await eventually(lambda: running(target))
        assert hardware.bmo.log == [("h1", "http://images.example/os")]


async def test_a_dry_run_reports_and_changes_nothing(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (_, source, target, _maker):
        await provisioned(source)
        await source.create("waits")
        said = Lines()
        summary = await move(source, target, said=said, dry_run=True)
        assert sorted(summary.moved) == ["waits", "w"][::-1]
        assert any("taken over" in line and "boot" in line for line in said)
        assert await target.workloads() == []
        assert await names_of_secrets(target) == []
        assert len(await source.workloads()) == 2


async def test_cluster_apis_and_claims_through_the_view_stay(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        source, target = await maker.cluster("source"), await maker.cluster("target")
        await source.create("owned", consumerRef=OWNED)
        await source.create("mine")
        said = Lines()
        summary = await move(source, target, said=said)
        assert (summary.moved, summary.staying) == (["mine"], ["owned"])
        assert any("clusterctl" in line for line in said)
        with pytest.raises(Blocked, match="no Workload other"):
            await move(source, target, names=["other"])


async def test_what_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        source, target = await maker.cluster("source"), await maker.cluster("target")
        for cluster, content in ((source, "mine"), (target, "yours")):
            await cluster.secret("boot", userData=content)
        await source.create("w", userData={"name": "boot"})
        await source.create("v")
        await target.create("v")
        said = Lines()
        summary = await move(source, target, said=said)
        assert sorted(summary.failed) == ["v", "w"]
        assert any("another secret boot" in line for line in said)
        assert any("another Workload v" in line for line in said)
        assert len(await source.workloads()) == 2


async def test_without_a_relay_there_it_says_what_is_needed(tmp_path: Path) -> None:
    async with management_clusters(tmp_path) as maker:
        hardware = await maker.hardware("h1")
        source, target = await maker.cluster("source", below=hardware), await maker.cluster("target")
        await provisioned(source)
        said = Lines()
        left = Options(namespace=NAMESPACE, timeout=0.2)
        summary = await Mover(source.admin, target.admin, left, said).run()
        assert summary.failed == ["w"]
        assert "metal3.io/relay" in said[-1]
        assert await target.workloads() == []


async def lease_of(cluster: ManagementCluster) -> dict[str, Any] | None:
    """Return the lease of the Workload."""
    lease: dict[str, Any] | None = (await cluster.workload("w"))["status"].get("lease")
    return lease


def end_of(lease: dict[str, Any] | None) -> datetime:
    """Return when the lease ends."""
    assert lease is not None
    return datetime.fromisoformat(lease["expirationTimestamp"])


async def test_a_lease_moves_with_the_machine_and_back(tmp_path: Path) -> None:
    """Check that the lease in the source is removed: at its end it would take the machine from the
    target."""
    async with clusters(tmp_path) as (_, source, target, _):
        await source.create("w", lease={"durationSeconds": 86400})
        await eventually(lambda: running(source))
        before = end_of(await lease_of(source))
        for lives in (1, 4, 6, 99):
            with suppress(Killed):
                await move(source, target, lives=lives)
        assert await lease_of(source) is None
        assert abs(end_of(await lease_of(target)) - before) < timedelta(seconds=300)
        for lives in (1, 3, 99):
            with suppress(Killed):
                await move(target, source, lives=lives)
        assert abs(end_of(await lease_of(source)) - before) < timedelta(seconds=300)


async def test_a_tenant_that_moves_its_machine_keeps_its_owners_lease(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (_, source, target, _):
        await source.create("w", lease={"durationSeconds": 86400})
        await eventually(lambda: running(source))
        before, said = await lease_of(source), Lines()
        await move(source, target, said=said, config=source.tenant())
        assert await lease_of(source) == before
        assert abs(end_of(await lease_of(target)) - end_of(before)) < timedelta(seconds=300), "it is warned where it looks"
        assert any("its lease here goes on" in line for line in said)


async def test_a_machine_does_not_move_while_its_lease_ends(tmp_path: Path) -> None:
    async with clusters(tmp_path) as (_, source, target, _):
        await source.create("w", lease={"durationSeconds": 500})
        await eventually(lambda: running(source))
        said = Lines()
        assert (await move(source, target, said=said)).failed == ["w"]
        assert any("extend it before it is moved" in line for line in said)
        assert await target.workloads() == []
