"""Use Python's clients as is usual: kr8s, lightkube, and kubernetes-asyncio's dynamic client."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import kr8s.asyncio
import lightkube
import pytest
from kr8s.asyncio.objects import new_class
from kubernetes_asyncio import config
from kubernetes_asyncio.client import ApiClient, Configuration
from kubernetes_asyncio.dynamic import DynamicClient
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from tests.integration.objects import workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.integration.running import Running

# kr8s warns of Kubernetes versions newer than itself. Clients leave some of their connections to
# the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Kubernetes version:UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
API_VERSION = "workload.metal3.io/v1alpha1"
SECONDS = 60


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what a client leaves in that client's own test."""
    yield
    gc.collect()


def phase(obj: Any) -> Any:
    """Return a Workload's phase, if it has one."""
    return (obj.get("status") or {}).get("phase")


async def test_kr8s(tenants: Running) -> None:
    """Create, wait, label, patch, list, watch and delete with kr8s."""
    api: Any = await kr8s.asyncio.api(kubeconfig=tenants.kubeconfig("a"), namespace="a")
    kind: Any = new_class("Workload", API_VERSION, plural="workloads")
    async with asyncio.timeout(SECONDS):
        made = await kind({**workload("kr8s"), "metadata": {"name": "kr8s", "namespace": "a"}}, api=api)
        await made.create()
        await made.wait("jsonpath='{.status.phase}'=Running")
        await made.label({"by": "kr8s"})
        await made.patch({"spec": {"online": False}})
        assert [found.name async for found in api.get(kind, label_selector={"by": "kr8s"})] == ["kr8s"]
        assert [found.name async for found in api.get("workloads.workload.metal3.io", field_selector="metadata.name=kr8s")] == ["kr8s"]
        async for event, found in api.watch(kind, namespace="a"):
            if found.raw.get("status", {}).get("poweredOn") is False:
                assert event in ("ADDED", "MODIFIED")
                break
        await made.delete()
        await made.wait("delete")
        assert not await made.exists()
    assert "kr8s" not in [found["metadata"]["name"] for found in tenants.items("a", "workloads")]


async def test_lightkube(tenants: Running) -> None:
    """Use lightkube for server-side apply, waiting, watching, patching and deletion."""
    kind = create_namespaced_resource("workload.metal3.io", "v1alpha1", "Workload", "workloads")
    client = lightkube.AsyncClient(
        config=lightkube.KubeConfig.from_file(tenants.kubeconfig("a")), namespace="a", field_manager="lightkube", trust_env=False
    )
    try:
        async with asyncio.timeout(SECONDS):
            applied = await client.apply(kind(**workload("lightkube")))
            assert applied.metadata is not None
            await client.wait(kind, "lightkube", for_conditions=["Ready"])
            patched = await client.patch(kind, "lightkube", {"spec": {"online": False}}, patch_type=PatchType.MERGE)
            assert patched.spec is not None
            assert patched.spec["online"] is False
            assert [found.metadata.name async for found in client.list(kind) if found.metadata] == ["lightkube"]
            version = patched.metadata.resourceVersion if patched.metadata else None
            events = []
            async for event, found in client.watch(kind, fields={"metadata.name": "lightkube"}, resource_version=version):
                events.append(event)
                if event == "DELETED":
                    break
                if phase(found) == "Stopped" and found.metadata and found.metadata.deletionTimestamp is None:
                    await client.delete(kind, "lightkube")
            assert set(events[:-1]) == {"MODIFIED"}
            with pytest.raises(lightkube.ApiError) as gone:
                await client.get(kind, "lightkube")
            assert gone.value.status.code == 404
    finally:
        await client.close()


@asynccontextmanager
async def dynamic(kubeconfig: str) -> AsyncIterator[DynamicClient]:
    """Yield kubernetes-asyncio's dynamic client, which learns of kinds by discovery."""
    configuration = Configuration()
    await config.load_kube_config(kubeconfig, client_configuration=configuration)
    async with ApiClient(configuration) as client:
        yield await DynamicClient(client)


async def test_kubernetes_asyncio(tenants: Running) -> None:
    """Use kubernetes-asyncio for discovery, creation, a watch from the list's version, server-side
    apply and deletion."""
    async with dynamic(tenants.kubeconfig("b")) as client, asyncio.timeout(SECONDS):
        kind: Any = await client.resources.get(api_version=API_VERSION, kind="Workload")
        listed = await kind.get(namespace="b")
        assert listed.items == []
        await kind.create(body=workload("dynamic"), namespace="b")
        seen = []
        async for event in kind.watch(namespace="b", resource_version=listed.metadata.resourceVersion):
            seen.append(event["type"])
            if phase(event["object"].to_dict()) == "Running":
                break
        assert seen[0] == "ADDED"
        assert set(seen[1:]) == {"MODIFIED"}
        body = {**workload("dynamic"), "metadata": {"name": "dynamic", "labels": {"by": "apply"}}}
        applied = await kind.server_side_apply(body=body, namespace="b", field_manager="dynamic", force_conflicts=True)
        assert applied.metadata.labels.by == "apply"
        await kind.delete(name="dynamic", namespace="b")
        async for event in kind.watch(namespace="b", resource_version=applied.metadata.resourceVersion):
            if event["type"] == "DELETED":
                break
