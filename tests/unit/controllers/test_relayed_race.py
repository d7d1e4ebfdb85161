"""Let two management clusters relay the same hosts of a third. The one that is late, because its
link was cut, gets another host by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controllers import kinds
from tests.integration.tcpproxy import proxied
from tests.unit.controllers.clusters import BMH
from tests.unit.controllers.sites import NAMESPACE, Site, eventually, sites

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.integration.tcpproxy import Proxy
    from tests.unit.controllers.sites import Hardware, Sites

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[Sites]:
    async with sites(tmp_path) as made:
        yield made


@pytest.fixture
async def hardware(maker: Sites) -> Hardware:
    return await maker.hardware("h1", "h2")


@pytest.fixture
async def source(maker: Sites, hardware: Hardware) -> Site:
    return await maker.site("source", below=hardware)


async def bound(site: Site, name: str) -> dict[str, Any]:
    conditions = (await site.workload(name))["status"]["conditions"]
    return next(condition for condition in conditions if condition["type"] == "Bound")


async def host_of(site: Site, name: str) -> str:
    return str((await site.workload(name))["status"]["host"]["name"])


async def runs(site: Site, name: str) -> bool:
    return bool((await site.workload(name))["status"]["phase"] == "Running")


def through_a_proxy(source: Site) -> AbstractAsyncContextManager[Proxy]:
    return proxied(int(source.url.rsplit(":", 1)[1]))


async def late_for_its_host(maker: Sites, source: Site, proxy: Proxy, **spec: Any) -> tuple[Site, Site, str]:
    """Create two sites; the second has a Workload "late" on a host that the first took while the
    second's link was cut. Return the host's name with the sites."""
    first, second = await maker.site("first"), await maker.site("second")
    await first.relay(source.tenant())
    await second.relay(source.tenant(url=f"https://127.0.0.1:{proxy.port}"))
    for site in (first, second):
        await eventually(lambda site=site: site.view("h2"))  # type: ignore[misc] # mypy does not infer the defaults of lambdas
    proxy.cut()
    await second.create("late", className="relay", **spec)
    taken = str(await eventually(lambda: host_of(second, "late")))
    await first.create("quick", className="relay", hostRef={"name": taken})
    await eventually(lambda: runs(first, "quick"))
    return first, second, taken


async def test_another_host_is_chosen(maker: Sites, hardware: Hardware, source: Site) -> None:
    async with through_a_proxy(source) as proxy:
        first, second, taken = await late_for_its_host(maker, source, proxy)
        proxy.open = True
        await eventually(lambda: runs(second, "late"))
        assert await host_of(second, "late") != taken == await host_of(first, "quick")
        assert sorted(name for name, _ in hardware.bmo.log) == ["h1", "h2"], "each was installed once"
        for site, name in ((first, "quick"), (second, "late")):
            shown = (await source.view(await host_of(site, name)))["metadata"]["annotations"]
            own = (await site.admin.get(kinds.NAMESPACES, "kube-system"))["metadata"]["uid"]
            assert shown["workload.metal3.io/management"] == own, "whose it is, though nobody gave the clusters names"

        await second.create("later", className="relay")

        async def told() -> bool:
            return str((await bound(second, "later"))["reason"]) == "NoHostFits"

        await eventually(told)
        await first.admin.delete(kinds.WORKLOADS, "quick", NAMESPACE)
        await eventually(lambda: runs(second, "later"))
        assert await host_of(second, "later") == taken


async def test_a_host_that_was_named_is_waited_for(maker: Sites, hardware: Hardware, source: Site) -> None:
    async with through_a_proxy(source) as proxy:
        first, second, taken = await late_for_its_host(maker, source, proxy, hostRef={"name": "h2"})
        proxy.open = True

        async def told() -> bool:
            condition = await bound(second, "late")
            return condition["reason"] == "HostTaken" and "delete this Workload" in str(condition["message"])

        await eventually(told)
        assert await host_of(second, "late") == taken == "h2"
        assert hardware.api.get(BMH, "h1", "metal3")["spec"].get("consumerRef") is None
        await first.admin.delete(kinds.WORKLOADS, "quick", NAMESPACE)
        await eventually(lambda: runs(second, "late"))


async def test_a_claim_through_the_view_that_is_lost_ends(maker: Sites, hardware: Hardware, source: Site) -> None:
    machine = {"kind": "Metal3Machine", "name": "m", "namespace": NAMESPACE, "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1"}
    async with through_a_proxy(source) as proxy:
        first, second = await maker.site("first"), await maker.site("second")
        await first.relay(source.tenant())
        await second.relay(source.tenant(url=f"https://127.0.0.1:{proxy.port}"))
        for site in (first, second):
            await eventually(site.view)
        proxy.cut()
        await second.patch_view({"spec": {"consumerRef": machine, "image": {"url": "http://images.example/os", "checksum": "0" * 32}}})
        await first.create("quick", className="relay", hostRef={"name": "h1"})
        await eventually(lambda: runs(first, "quick"))
        proxy.open = True

        async def gone() -> bool:
            return await second.workloads() == []

        await eventually(gone)
        assert "consumerRef" not in (await second.view())["spec"], "CAPM3 would take it for its own"
        assert await runs(first, "quick"), "it was not released for the other one"
