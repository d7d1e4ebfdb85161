"""Let two management clusters relay the same hosts of a third. The one that is late, because its
link was cut, gets another host by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controllers import kinds
from tests.integration.tcpproxy import proxied
from tests.unit.controllers.clusters import BMH
from tests.unit.controllers.managementclusters import NAMESPACE, ManagementCluster, condition, eventually, management_clusters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.integration.tcpproxy import Proxy
    from tests.unit.controllers.managementclusters import Hardware, ManagementClusters

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[ManagementClusters]:
    async with management_clusters(tmp_path) as made:
        yield made


@pytest.fixture
async def hardware(maker: ManagementClusters) -> Hardware:
    return await maker.hardware("h1", "h2")


@pytest.fixture
async def source(maker: ManagementClusters, hardware: Hardware) -> ManagementCluster:
    return await maker.cluster("source", below=hardware)


async def bound(cluster: ManagementCluster, name: str) -> dict[str, Any]:
    return condition(await cluster.workload(name), "Bound")


async def host_of(cluster: ManagementCluster, name: str) -> str:
    return str((await cluster.workload(name))["status"]["host"]["name"])


async def runs(cluster: ManagementCluster, name: str) -> bool:
    return bool((await cluster.workload(name))["status"]["phase"] == "Running")


def through_a_proxy(source: ManagementCluster) -> AbstractAsyncContextManager[Proxy]:
    return proxied(int(source.url.rsplit(":", 1)[1]))


async def late_for_its_host(
    maker: ManagementClusters, source: ManagementCluster, proxy: Proxy, **spec: Any
) -> tuple[ManagementCluster, ManagementCluster, str]:
    """Create two management clusters. The second has a Workload "late" on a host that the first
    took while the second's link was cut. Return the host's name with the clusters."""
    first, second = await maker.cluster("first"), await maker.cluster("second")
    await first.relay(source.tenant())
    await second.relay(source.tenant(url=f"https://127.0.0.1:{proxy.port}"))
    for cluster in (first, second):
        await eventually(lambda cluster=cluster: cluster.view("h2"))  # type: ignore[misc] # mypy does not infer the defaults of lambdas
    proxy.cut()
    await second.create("late", className="relay", **spec)
    taken = str(await eventually(lambda: host_of(second, "late")))
    await first.create("quick", className="relay", hostRef={"name": taken})
    await eventually(lambda: runs(first, "quick"))
    return first, second, taken


async def test_another_host_is_chosen(maker: ManagementClusters, hardware: Hardware, source: ManagementCluster) -> None:
    async with through_a_proxy(source) as proxy:
        first, second, taken = await late_for_its_host(maker, source, proxy)
        proxy.open = True
        await eventually(lambda: runs(second, "late"))
        assert await host_of(second, "late") != taken == await host_of(first, "quick")
        assert sorted(name for name, _ in hardware.bmo.log) == ["h1", "h2"], "each was installed once"
        for cluster, name in ((first, "quick"), (second, "late")):
            shown = (await source.view(await host_of(cluster, name)))["metadata"]["annotations"]
            own = (await cluster.admin.get(kinds.NAMESPACES, "kube-system"))["metadata"]["uid"]
            assert shown["workload.metal3.io/management"] == own, "whose it is, though nobody gave the clusters names"

        await second.create("later", className="relay")

        async def reported() -> bool:
            return str((await bound(second, "later"))["reason"]) == "NoHostFits"

        await eventually(reported)
        await first.admin.delete(kinds.WORKLOADS, "quick", NAMESPACE)
        await eventually(lambda: runs(second, "later"))
        assert await host_of(second, "later") == taken


async def test_a_host_that_was_named_is_waited_for(maker: ManagementClusters, hardware: Hardware, source: ManagementCluster) -> None:
    async with through_a_proxy(source) as proxy:
        first, second, taken = await late_for_its_host(maker, source, proxy, hostRef={"name": "h2"})
        proxy.open = True

        async def reported() -> bool:
            found = await bound(second, "late")
            return found["reason"] == "HostTaken" and "delete this Workload" in str(found["message"])

        await eventually(reported)
        assert await host_of(second, "late") == taken == "h2"
        assert hardware.api.get(BMH, "h1", "metal3")["spec"].get("consumerRef") is None
        await first.admin.delete(kinds.WORKLOADS, "quick", NAMESPACE)
        await eventually(lambda: runs(second, "late"))


async def test_a_claim_through_the_view_that_is_lost_ends(maker: ManagementClusters, hardware: Hardware, source: ManagementCluster) -> None:
    machine = {"kind": "Metal3Machine", "name": "m", "namespace": NAMESPACE, "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1"}
    async with through_a_proxy(source) as proxy:
        first, second = await maker.cluster("first"), await maker.cluster("second")
        await first.relay(source.tenant())
        await second.relay(source.tenant(url=f"https://127.0.0.1:{proxy.port}"))
        for cluster in (first, second):
            await eventually(cluster.view)
        proxy.cut()
        await second.patch_view({"spec": {"consumerRef": machine, "image": {"url": "http://images.example/os", "checksum": "0" * 32}}})
        await first.create("quick", className="relay", hostRef={"name": "h1"})
        await eventually(lambda: runs(first, "quick"))
        proxy.open = True

        async def gone() -> bool:
            return await second.workloads() == []

        await eventually(gone)
        # The view ends when the host's new state is seen.
        views = (await second.admin.list_all(kinds.views(), NAMESPACE))[0]
        assert not any("consumerRef" in view["spec"] for view in views), "CAPM3 would take it for its own"
        assert await runs(first, "quick"), "it was not released for the other one"
