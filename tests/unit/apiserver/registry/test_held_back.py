"""Check that a Workload with a host is held by its release finalizer, whoever removed it, and
whatever writes or deletes the Workload."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.claims.claims import RELEASE_FINALIZER
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONSUMER, IMAGE, Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.registry.generic.attributes import Attributes

OTHER = "example.com/other"


def tenant() -> Context:
    return Context(UserInfo("tenant"), field_manager="kubectl-edit")


async def running(bench: Bench) -> str:
    host = await bench.add_host()
    await bench.workloads.create(tenant(), "tenant-a", {"metadata": {"name": "web", "finalizers": [OTHER]}, "spec": {"className": "metal"}})
    await bench.workloads.connect(tenant(), "tenant-a", "web", "binding", {"target": {"name": host}})
    return host


def finalizers(bench: Bench) -> list[str]:
    found: list[str] = bench.workloads.get("tenant-a", "web").object()["metadata"].get("finalizers") or []
    return found


def with_finalizers(*given: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda old: {**old, "metadata": {**old["metadata"], "finalizers": given[0] if given else list(given)}}


def without_finalizers(old: dict[str, Any]) -> dict[str, Any]:
    return {**old, "metadata": {key: value for key, value in old["metadata"].items() if key != "finalizers"}}


STRIPPED = [without_finalizers, with_finalizers(None), with_finalizers([]), with_finalizers([OTHER])]
"""What a tenant may write at any time: while an object is being deleted, no finalizer may be
added."""


@pytest.mark.parametrize("strip", [*STRIPPED, with_finalizers(["example.com/new"])])
async def test_no_update_takes_it_away(bench: Bench, strip: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    await running(bench)
    await assert_kept(bench, strip)


@pytest.mark.parametrize("strip", STRIPPED)
async def test_no_update_takes_it_away_from_one_that_is_being_deleted(
    bench: Bench, strip: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    host = await running(bench)
    await bench.workloads.delete(tenant(), "tenant-a", "web", DeleteOptions())
    await assert_kept(bench, strip)
    assert bench.hosts.get("", host).object()["spec"]["claimRef"]["name"] == "web"


async def assert_kept(bench: Bench, strip: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    context = tenant()
    await bench.workloads.update(context, "tenant-a", "web", strip)
    assert RELEASE_FINALIZER in finalizers(bench)
    assert [warning for warning in context.warnings if RELEASE_FINALIZER in warning]


async def test_others_finalizers_are_the_tenants_to_remove(bench: Bench) -> None:
    await running(bench)
    context = tenant()
    await bench.workloads.update(context, "tenant-a", "web", with_finalizers([RELEASE_FINALIZER]))
    assert finalizers(bench) == [RELEASE_FINALIZER]
    assert context.warnings == []


@pytest.mark.parametrize("given", [{}, "", "text", 7, [{}], [None]])
async def test_finalizers_of_no_kind_take_nothing_away(bench: Bench, given: Any) -> None:
    await running(bench)
    with suppress(ApiError):
        await bench.workloads.update(tenant(), "tenant-a", "web", with_finalizers(given))
    assert RELEASE_FINALIZER in finalizers(bench)


async def test_an_apply_that_owned_it_and_leaves_it_out_keeps_it(bench: Bench) -> None:
    await running(bench)
    kind = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload"}
    for given in ([RELEASE_FINALIZER], []):
        wanted = {**kind, "metadata": {"name": "web", "namespace": "tenant-a", "finalizers": given}}
        await bench.workloads.apply(tenant(), "tenant-a", "web", wanted, force=True)
        assert RELEASE_FINALIZER in finalizers(bench)


@pytest.mark.parametrize("propagation", ["", "Background", "Foreground", "Orphan"])
async def test_a_workload_that_lost_it_under_an_earlier_version_is_held_all_the_same(bench: Bench, propagation: str) -> None:
    await running(bench)
    await stored_without(bench)
    _, gone = await bench.workloads.delete(tenant(), "tenant-a", "web", DeleteOptions(propagation=propagation))
    assert not gone
    assert RELEASE_FINALIZER in finalizers(bench)


async def stored_without(bench: Bench) -> None:
    entry = bench.workloads.get("tenant-a", "web")
    await bench.workloads.cache.commit([Put(entry.key, orjson.dumps(without_finalizers(entry.object())), expected=entry.revision)])


async def test_a_release_through_the_view_is_held_where_it_was_lost(bench: Bench) -> None:
    await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    entry = bench.workloads.get("tenant-a", "node-0")
    await bench.workloads.cache.commit([Put(entry.key, orjson.dumps(without_finalizers(entry.object())), expected=entry.revision)])
    await bench.views.delete(tenant(), "tenant-a", "node-0", DeleteOptions())
    metadata = bench.workloads.get("tenant-a", "node-0").object()["metadata"]
    assert "deletionTimestamp" in metadata
    assert metadata["finalizers"] == [RELEASE_FINALIZER]


async def test_the_finalizers_of_the_view_are_not_the_workloads(bench: Bench) -> None:
    await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    for given in ([OTHER], []):
        await bench.views.update(tenant(), "tenant-a", "node-0", with_finalizers(given))
        assert bench.workloads.get("tenant-a", "node-0").object()["metadata"]["finalizers"] == [RELEASE_FINALIZER]


async def test_once_the_host_is_released_it_can_be_removed(bench: Bench) -> None:
    host = await running(bench)
    await bench.workloads.delete(tenant(), "tenant-a", "web", DeleteOptions())
    await bench.hosts.update(tenant(), "", host, lambda old: {**old, "spec": {**old["spec"], "claimRef": None}})
    context = tenant()
    await bench.workloads.update(context, "tenant-a", "web", without_finalizers)
    assert bench.workloads.find("tenant-a", "web") is None
    assert context.warnings == []


async def test_a_webhook_that_takes_it_away_is_refused(bench: Bench) -> None:
    class Stripping:
        async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
            return without_finalizers(attributes.new) if attributes.new is not None else None

    await running(bench)
    bench.workloads.admission = Stripping()
    with pytest.raises(ApiError) as refused:
        await bench.workloads.update(tenant(), "tenant-a", "web", lambda old: {**old, "spec": {**old["spec"], "online": False}})
    assert refused.value.code == 422
    assert "controllers remove it after the release" in refused.value.message
    assert RELEASE_FINALIZER in finalizers(bench)


async def test_a_dry_run_says_what_a_write_would_do(bench: Bench) -> None:
    await running(bench)
    context = Context(UserInfo("tenant"), dry_run=True)
    entry = await bench.workloads.update(context, "tenant-a", "web", without_finalizers)
    assert entry.object()["metadata"]["finalizers"] == [RELEASE_FINALIZER]
    assert context.warnings
