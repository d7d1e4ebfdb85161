"""Check that a Workload with a host has its release finalizer, even after a client removed it, and
whatever writes or deletes the Workload."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.names import RELEASE_FINALIZER
from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONSUMER, IMAGE, Registries

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.registry.generic.attributes import Attributes

OTHER = "example.com/other"


def tenant() -> Context:
    return Context(UserInfo("tenant"), field_manager="kubectl-edit")


async def running(registries: Registries) -> str:
    host = await registries.add_host()
    await registries.workloads.create(
        tenant(), "tenant-a", {"metadata": {"name": "web", "finalizers": [OTHER]}, "spec": {"className": "metal"}}
    )
    await registries.workloads.connect(tenant(), "tenant-a", "web", "binding", {"target": {"name": host}})
    return host


def finalizers(registries: Registries) -> list[str]:
    found: list[str] = registries.workloads.get("tenant-a", "web").object()["metadata"].get("finalizers") or []
    return found


def with_finalizers(*given: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda old: {**old, "metadata": {**old["metadata"], "finalizers": given[0] if given else list(given)}}


def without_finalizers(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "metadata": {key: value for key, value in old["metadata"].items() if key != "finalizers"}}


STRIPPED = [without_finalizers, with_finalizers(None), with_finalizers([]), with_finalizers([OTHER])]
"""What a tenant may write at any time: while an object is being deleted, no finalizer may be
added."""


@pytest.mark.parametrize("strip", [*STRIPPED, with_finalizers(["example.com/new"])])
async def test_no_update_takes_it_away(registries: Registries, strip: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    await running(registries)
    await assert_kept(registries, strip)


@pytest.mark.parametrize("strip", STRIPPED)
async def test_no_update_takes_it_away_from_one_that_is_being_deleted(
    registries: Registries, strip: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    host = await running(registries)
    await registries.workloads.delete(tenant(), "tenant-a", "web", DeleteOptions())
    await assert_kept(registries, strip)
    assert registries.hosts.get("", host).object()["spec"]["claimRef"]["name"] == "web"


async def assert_kept(registries: Registries, strip: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    context = tenant()
    await registries.workloads.update(context, "tenant-a", "web", strip)
    assert RELEASE_FINALIZER in finalizers(registries)
    assert [warning for warning in context.warnings if RELEASE_FINALIZER in warning]


async def test_others_finalizers_are_the_tenants_to_remove(registries: Registries) -> None:
    await running(registries)
    context = tenant()
    await registries.workloads.update(context, "tenant-a", "web", with_finalizers([RELEASE_FINALIZER]))
    assert finalizers(registries) == [RELEASE_FINALIZER]
    assert context.warnings == []


@pytest.mark.parametrize("given", [{}, "", "text", 7, [{}], [None]])
async def test_finalizers_of_no_kind_take_nothing_away(registries: Registries, given: Any) -> None:
    await running(registries)
    with suppress(ApiError):
        await registries.workloads.update(tenant(), "tenant-a", "web", with_finalizers(given))
    assert RELEASE_FINALIZER in finalizers(registries)


async def test_an_apply_that_owned_it_and_leaves_it_out_keeps_it(registries: Registries) -> None:
    await running(registries)
    kind = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload"}
    for given in ([RELEASE_FINALIZER], []):
        wanted = {**kind, "metadata": {"name": "web", "namespace": "tenant-a", "finalizers": given}}
        await registries.workloads.apply(tenant(), "tenant-a", "web", wanted, force=True)
        assert RELEASE_FINALIZER in finalizers(registries)


@pytest.mark.parametrize("propagation", ["", "Background", "Foreground", "Orphan"])
async def test_a_workload_that_lost_it_under_an_earlier_version_is_held_all_the_same(registries: Registries, propagation: str) -> None:
    await running(registries)
    await stored_without(registries)
    _, gone = await registries.workloads.delete(tenant(), "tenant-a", "web", DeleteOptions(propagation=propagation))
    assert not gone
    assert RELEASE_FINALIZER in finalizers(registries)


async def stored_without(registries: Registries) -> None:
    entry = registries.workloads.get("tenant-a", "web")
    await registries.workloads.cache.commit([Put(entry.key, orjson.dumps(without_finalizers(entry.object())), expected=entry.revision)])


async def test_a_release_through_the_view_is_held_where_it_was_lost(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    entry = registries.workloads.get("tenant-a", "node-0")
    await registries.workloads.cache.commit([Put(entry.key, orjson.dumps(without_finalizers(entry.object())), expected=entry.revision)])
    await registries.views.delete(tenant(), "tenant-a", "node-0", DeleteOptions())
    metadata = registries.workloads.get("tenant-a", "node-0").object()["metadata"]
    assert "deletionTimestamp" in metadata
    assert metadata["finalizers"] == [RELEASE_FINALIZER]


async def test_the_finalizers_of_the_view_are_not_the_workloads(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    for given in ([OTHER], []):
        await registries.views.update(tenant(), "tenant-a", "node-0", with_finalizers(given))
        assert registries.workloads.get("tenant-a", "node-0").object()["metadata"]["finalizers"] == [RELEASE_FINALIZER]


async def test_once_the_host_is_released_it_can_be_removed(registries: Registries) -> None:
    host = await running(registries)
    await registries.workloads.delete(tenant(), "tenant-a", "web", DeleteOptions())
    await registries.hosts.update(tenant(), "", host, lambda old: {**old, "spec": {**old["spec"], "claimRef": None}})
    context = tenant()
    await registries.workloads.update(context, "tenant-a", "web", without_finalizers)
    assert registries.workloads.find("tenant-a", "web") is None
    assert context.warnings == []


async def test_a_webhook_that_takes_it_away_is_refused(registries: Registries) -> None:
    class Stripping:
        async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
            return without_finalizers(attributes.new) if attributes.new is not None else None

    await running(registries)
    registries.workloads.admission = Stripping()
    with pytest.raises(ApiError) as refused:
        await registries.workloads.update(tenant(), "tenant-a", "web", lambda old: {**old, "spec": {**old["spec"], "online": False}})
    assert refused.value.code == 422
    assert "controllers remove it after the release" in refused.value.message
    assert RELEASE_FINALIZER in finalizers(registries)


async def test_a_dry_run_says_what_a_write_would_do(registries: Registries) -> None:
    await running(registries)
    context = Context(UserInfo("tenant"), dry_run=True)
    entry = await registries.workloads.update(context, "tenant-a", "web", without_finalizers)
    assert entry.object()["metadata"]["finalizers"] == [RELEASE_FINALIZER]
    assert context.warnings
