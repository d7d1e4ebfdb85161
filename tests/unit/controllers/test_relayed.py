"""Pass hosts on between management clusters, each a real API server with its controllers: chains,
loops, moves, and a cut link."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.client.client import Client
from apiserver.client.informer import Informer
from controllers import kinds
from controllers.providers import clusterclient
from controllers.providers.baremetalhost import driver
from tests.integration.tcpproxy import proxied
from tests.unit.controllers.clusters import BMH, SECRETS
from tests.unit.controllers.managementclusters import (
    NAMESPACE,
    VIEWS,
    Hardware,
    ManagementCluster,
    ManagementClusters,
    eventually,
    management_clusters,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MACHINE = {"kind": "Metal3Machine", "name": "m", "namespace": NAMESPACE, "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1"}
IMAGE = {"url": "http://images.example/node", "checksum": "0" * 32}
LABEL = "workload.metal3.io/workload-uid"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[ManagementClusters]:
    async with management_clusters(tmp_path) as made:
        yield made


@pytest.fixture
async def hardware(maker: ManagementClusters) -> Hardware:
    return await maker.hardware("h1")


@pytest.fixture
async def source(maker: ManagementClusters, hardware: Hardware) -> ManagementCluster:
    return await maker.cluster("source", below=hardware)


@pytest.fixture
async def target(maker: ManagementClusters, source: ManagementCluster) -> ManagementCluster:
    made = await maker.cluster("target")
    await made.relay(source.tenant())
    return made


async def state(cluster: ManagementCluster) -> str:
    return str((await cluster.view())["status"]["provisioning"]["state"])


async def phase(cluster: ManagementCluster, name: str) -> str:
    return str((await cluster.workload(name))["status"]["phase"])


async def gone(cluster: ManagementCluster, name: str) -> bool:
    return name not in [item["metadata"]["name"] for item in await cluster.workloads()]


async def claimed_as_capm3_does(cluster: ManagementCluster) -> None:
    """Provision a machine of Cluster API on the host."""
    await cluster.secret("boot", value="#cloud-config")
    await eventually(cluster.view)
    await cluster.patch_view({"metadata": {"labels": {"cluster.x-k8s.io/cluster-name": "c"}}, "spec": {"consumerRef": MACHINE}})
    await cluster.patch_view({"spec": {"image": IMAGE, "userData": {"name": "boot"}, "online": True}})

    async def runs() -> bool:
        return await state(cluster) == "provisioned" and bool((await cluster.view())["status"]["poweredOn"])

    await eventually(runs)


async def test_a_chain_of_three(
    maker: ManagementClusters, hardware: Hardware, source: ManagementCluster, target: ManagementCluster
) -> None:
    edge = await maker.cluster("edge")
    await edge.relay(target.tenant())
    views = [await eventually(cluster.view) for cluster in (source, target, edge)]
    assert len({view["metadata"]["uid"] for view in views}) == 1, "identity is passed on"
    await edge.secret("boot", userData="#cloud-config")
    await edge.create("w", className="relay", userData={"name": "boot"})

    async def running() -> Any:
        return await phase(edge, "w") == "Running"

    await eventually(running)
    assert hardware.runs() == "http://images.example/os"
    real = hardware.api.get(BMH, "h1", "metal3")
    metadata = orjson.loads(base64.b64decode(hardware.api.get(SECRETS, real["spec"]["metaData"]["name"], "metal3")["data"]["metaData"]))
    assert metadata["uuid"] == views[0]["metadata"]["uid"]
    await edge.admin.delete(kinds.WORKLOADS, "w", NAMESPACE)

    async def free() -> Any:
        ready = [
            "consumerRef" not in (await cluster.view())["spec"] and await state(cluster) == "available"
            for cluster in (source, target, edge)
        ]
        return all(ready) and hardware.runs() is None and await gone(edge, "w")

    await eventually(free)
    for cluster in (source, target):
        left = [item["metadata"]["name"] for item in (await cluster.admin.list_all(kinds.SECRETS, NAMESPACE))[0]]
        assert left == [], "copies are removed"


async def test_a_machine_moves_and_nothing_is_provisioned_again(
    hardware: Hardware, source: ManagementCluster, target: ManagementCluster
) -> None:
    await claimed_as_capm3_does(source)
    before = await source.view()

    async def shown() -> Any:
        return (await target.view())["spec"].get("consumerRef") == MACHINE and await state(target) == "provisioned"

    await eventually(shown)
    view = await target.view()
    for field in ("uid", "name", "namespace"):
        assert view["metadata"][field] == before["metadata"][field]
    assert view["spec"]["image"] == before["spec"]["image"]
    assert view["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == "c"
    assert await target.workloads() == [], "seen, not taken"

    await target.secret("boot", value="#cloud-config")
    await target.patch_view({"metadata": {"annotations": {"clusterctl.cluster.x-k8s.io/block-move": ""}}})

    async def taken() -> Any:
        there = await source.view()
        [workload] = await target.workloads()
        ours = there["metadata"]["labels"].get(LABEL) == workload["metadata"]["uid"]
        return ours and there["spec"]["consumerRef"]["kind"] == "Workload" and workload["status"]["phase"] == "Running"

    await eventually(taken)
    assert hardware.bmo.log == [("h1", IMAGE["url"])], "provisioned once"
    assert (await target.view())["spec"]["consumerRef"] == MACHINE

    # The machine is back at its source, whose view shows it.
    await source.patch_view({"spec": {"consumerRef": MACHINE}})

    async def returned() -> Any:
        there = await source.view()
        return LABEL not in there["metadata"]["labels"] and there["spec"]["userData"]["name"] == "boot" and await target.workloads() == []

    await eventually(returned)
    await eventually(shown)
    assert hardware.bmo.log == [("h1", IMAGE["url"])]
    assert hardware.runs() == IMAGE["url"]


async def test_a_machine_moves_on_once_more(
    maker: ManagementClusters, hardware: Hardware, source: ManagementCluster, target: ManagementCluster
) -> None:
    """Check that each cluster keeps the host for the next one, and that the last consumer's changes
    reach the machine."""
    edge = await maker.cluster("edge")
    await edge.relay(target.tenant())
    await claimed_as_capm3_does(source)
    for cluster in (target, edge):
        await cluster.secret("boot", value="#cloud-config")

        async def shown(cluster: ManagementCluster = cluster) -> Any:
            return (await cluster.view())["spec"].get("consumerRef") == MACHINE and await state(cluster) == "provisioned"

        async def taken(cluster: ManagementCluster = cluster) -> Any:
            [workload] = await cluster.workloads()
            return workload["status"]["phase"] == "Running"

        await eventually(shown)
        await cluster.patch_view({"metadata": {"annotations": {"seen-in": cluster.name}}})
        await eventually(taken)
    assert [(await cluster.view())["spec"]["consumerRef"]["kind"] for cluster in (source, target)] == ["Workload", "Workload"]
    assert hardware.bmo.log == [("h1", IMAGE["url"])]
    await edge.patch_view({"spec": {"image": None, "online": False}})

    async def emptied() -> Any:
        return await state(edge) == "available"

    await eventually(emptied)
    await edge.patch_view({"spec": {"consumerRef": None}})

    async def free() -> Any:
        nobody = [await cluster.workloads() for cluster in (source, target, edge)] == [[], [], []]
        return nobody and not any(["consumerRef" in (await cluster.view())["spec"] for cluster in (source, target, edge)])

    await eventually(free)


async def test_a_target_that_is_lost_for_good(
    maker: ManagementClusters, hardware: Hardware, source: ManagementCluster, target: ManagementCluster
) -> None:
    """Hand the claim back to the source, and let another target take it over."""
    await claimed_as_capm3_does(source)

    async def taken_by(cluster: ManagementCluster) -> Any:
        if (await cluster.view())["spec"].get("consumerRef") != MACHINE:
            return False
        if not await cluster.workloads():
            await cluster.patch_view({"metadata": {"annotations": {"seen-in": cluster.name}}})
        return (await source.view())["spec"]["consumerRef"].get("uid") == (await cluster.workloads())[0]["metadata"]["uid"]

    await eventually(lambda: taken_by(target))
    await target.halt()
    await source.patch_view({"metadata": {"labels": {LABEL: None}}})
    await source.patch_view({"spec": {"consumerRef": {"uid": None, **MACHINE}}})
    second = await maker.cluster("second")
    await second.secret("boot", value="#cloud-config")
    await second.relay(source.tenant())
    await eventually(lambda: taken_by(second))
    assert hardware.bmo.log == [("h1", IMAGE["url"])]


async def test_killed_controllers_continue_where_the_objects_say(
    maker: ManagementClusters, hardware: Hardware, source: ManagementCluster, target: ManagementCluster
) -> None:
    """Ask for changes while no controllers run in either cluster."""
    await claimed_as_capm3_does(source)

    async def shown() -> Any:
        return (await target.view())["spec"].get("consumerRef") == MACHINE

    await eventually(shown)
    await target.secret("boot", value="#cloud-config")
    await target.halt()
    await target.patch_view({"metadata": {"annotations": {"seen-in": "target"}}})
    await source.halt()
    await target.patch_view({"spec": {"online": False}})
    await maker.start(target)

    async def reported() -> Any:
        return (await source.view())["spec"]["online"] is False

    await eventually(reported)
    assert hardware.api.get(BMH, "h1", "metal3")["spec"]["online"] is True
    await maker.start(source)

    async def off() -> Any:
        return not (await target.view())["status"]["poweredOn"] and (await target.workloads())[0]["status"]["phase"] == "Stopped"

    await eventually(off)
    assert hardware.bmo.log == [("h1", IMAGE["url"])]


async def test_a_consumer_that_vanishes_releases_nothing(hardware: Hardware, source: ManagementCluster, target: ManagementCluster) -> None:
    """Delete objects in the source as a move does, without changing the host. The first change by
    their successors may be to release it."""
    await claimed_as_capm3_does(source)

    async def shown() -> Any:
        return (await target.view())["spec"].get("consumerRef") == MACHINE

    await eventually(shown)
    await source.admin.delete(kinds.SECRETS, "boot", NAMESPACE)
    await target.patch_view({"spec": {"image": None, "userData": None, "online": False}})

    async def emptied() -> Any:
        return await state(target) == "available" and hardware.runs() is None

    await eventually(emptied)
    assert (await source.view())["spec"]["consumerRef"]["kind"] == "Workload", "still the consumer's"
    await target.patch_view({"spec": {"consumerRef": None}})

    async def free() -> Any:
        views = [await cluster.view() for cluster in (source, target)]
        return not any("consumerRef" in view["spec"] for view in views) and await target.workloads() == await source.workloads() == []

    await eventually(free)


async def test_what_is_asked_while_the_link_is_cut_happens_once_it_is_back(
    maker: ManagementClusters, hardware: Hardware, source: ManagementCluster
) -> None:
    port = int(source.url.rsplit(":", 1)[1])
    async with proxied(port) as proxy:
        target = await maker.cluster("target")
        await target.relay(source.tenant(url=f"https://127.0.0.1:{proxy.port}"))
        await eventually(target.view)
        proxy.cut()

        async def stale() -> Any:
            connected = await target.connected("relay")
            return connected["status"] == "False" and connected["reason"] == "Unreachable" and "is of 20" in connected["message"]

        await eventually(stale)
        assert (await target.view())["status"]["provisioning"]["state"] == "available", "last known"
        await target.patch_view({"spec": {"consumerRef": MACHINE, "image": IMAGE, "online": True}})

        async def waiting() -> Any:
            [workload] = await target.workloads()
            return "SourceUnavailable" in [item["reason"] for item in workload["status"]["conditions"]]

        await eventually(waiting)
        assert hardware.runs() is None
        proxy.open = True

        async def caught_up() -> Any:
            return await state(target) == "provisioned" and (await target.connected("relay"))["status"] == "True"

        await eventually(caught_up)
        assert hardware.bmo.log == [("h1", IMAGE["url"])]
        await target.admin.delete(VIEWS, "h1", NAMESPACE)

        async def free() -> Any:
            return hardware.runs() is None and "consumerRef" not in (await target.view())["spec"]

        await eventually(free)


async def test_a_link_that_drops_everything_is_noticed(
    maker: ManagementClusters, hardware: Hardware, source: ManagementCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep connections open, but let nothing through."""
    monkeypatch.setattr(driver, "Informer", partial(Informer, stall_timeout=1.0))
    monkeypatch.setattr(clusterclient, "Client", partial(Client, timeout=1.0))
    async with proxied(int(source.url.rsplit(":", 1)[1])) as proxy:
        target = await maker.cluster("target")
        await target.relay(source.tenant(url=f"https://127.0.0.1:{proxy.port}"))
        await eventually(target.view)
        proxy.flowing.clear()
        await target.patch_view({"spec": {"consumerRef": MACHINE, "image": IMAGE, "online": True}})

        async def reported() -> Any:
            [workload] = await target.workloads()
            reasons = [item["reason"] for item in workload["status"]["conditions"]]
            return "SourceUnavailable" in reasons and (await target.connected("relay"))["reason"] == "Unreachable"

        await eventually(reported)
        proxy.flowing.set()

        async def caught_up() -> Any:
            return await state(target) == "provisioned"

        await eventually(caught_up)
        assert hardware.bmo.log == [("h1", IMAGE["url"])]


async def test_a_relay_that_points_to_itself(source: ManagementCluster) -> None:
    await eventually(source.view)
    await source.relay(source.tenant())

    async def reported() -> Any:
        return (await source.connected("relay"))["reason"] == "Loop"

    await eventually(reported)
    hosts, _ = await source.admin.list_all(kinds.HOSTS)
    assert [host["spec"]["className"] for host in hosts] == ["metal"]


async def test_two_relays_in_a_circle(maker: ManagementClusters, source: ManagementCluster, target: ManagementCluster) -> None:
    """Relay through namespaces of different names, where every round would otherwise create new
    hosts."""
    await target.namespace("other")
    await target.admin.patch(kinds.CLASSES, "relay", {"spec": {"allowedNamespaces": {"names": ["other"]}}})

    async def offered() -> Any:
        return await target.view(namespace="other")

    shown = await eventually(offered)
    assert shown["metadata"]["uid"] != (await source.view())["metadata"]["uid"], "another namespace, another identity"
    await source.relay(target.tenant("other"), "other")

    async def reported() -> Any:
        return (await source.connected("relay"))["reason"] == "Loop"

    await eventually(reported)
    assert len((await source.admin.list_all(kinds.HOSTS))[0]) == 1


@pytest.mark.parametrize(("user", "reason"), [("of another namespace", "Forbidden"), ("of another authority", "Unreachable")])
async def test_credentials_that_do_not_do(maker: ManagementClusters, source: ManagementCluster, user: str, reason: str) -> None:
    target = await maker.cluster("target")
    config = source.tenant("elsewhere")
    if reason == "Unreachable":
        config["users"] = target.tenant()["users"]
    await target.relay(config)

    async def reported() -> Any:
        return (await target.connected("relay"))["reason"] == reason

    await eventually(reported)
    data = {"kubeconfig": base64.b64encode(orjson.dumps(source.tenant())).decode()}
    await target.admin.patch(kinds.SECRETS, "relay-credentials", {"data": data}, "system")
    await eventually(target.view)
    assert (await target.connected("relay"))["status"] == "True"
