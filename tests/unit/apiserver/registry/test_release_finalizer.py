"""Check that no write of a tenant ends a Workload before its host is released."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.names import RELEASE_FINALIZER
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Registries

if TYPE_CHECKING:
    from collections.abc import Callable


def finalizers(obj: dict[str, Any]) -> list[str]:
    found: list[str] = obj["metadata"].get("finalizers", [])
    return found


def with_finalizers(*wanted: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda obj: {**obj, "metadata": {**obj["metadata"], "finalizers": list(wanted)}}


async def claimed(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)


@pytest.mark.parametrize("deleted_first", [False, True])
@pytest.mark.parametrize("subresource", ["", "status"])
async def test_the_release_finalizer_stays_while_a_host_is_claimed(registries: Registries, deleted_first: bool, subresource: str) -> None:
    await claimed(registries)
    if deleted_first:
        await registries.workloads.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    context = Context(UserInfo("tenant"))
    entry = await registries.workloads.update(context, "tenant-a", "node-0", with_finalizers(), subresource=subresource)
    assert finalizers(entry.object()) == [RELEASE_FINALIZER]
    assert any(RELEASE_FINALIZER in warning for warning in context.warnings) or subresource
    assert registries.workloads.find("tenant-a", "node-0") is not None


async def test_other_finalizers_are_the_tenants_to_change(registries: Registries) -> None:
    await claimed(registries)
    entry = await registries.workloads.update(CONTEXT, "tenant-a", "node-0", with_finalizers("example.com/backup"))
    assert sorted(finalizers(entry.object())) == ["example.com/backup", RELEASE_FINALIZER]
    entry = await registries.workloads.update(CONTEXT, "tenant-a", "node-0", with_finalizers())
    assert finalizers(entry.object()) == [RELEASE_FINALIZER]


async def test_the_finalizer_can_be_removed_once_the_claim_is_cleared(registries: Registries) -> None:
    await claimed(registries)
    host = registries.hosts.collection.index("claim", ("tenant-a", "node-0"))[0]
    await registries.workloads.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    await registries.hosts.update(CONTEXT, "", host.name, lambda obj: {**obj, "spec": {**obj["spec"], "claimRef": None}})
    await registries.workloads.update(CONTEXT, "tenant-a", "node-0", with_finalizers())
    assert registries.workloads.find("tenant-a", "node-0") is None
