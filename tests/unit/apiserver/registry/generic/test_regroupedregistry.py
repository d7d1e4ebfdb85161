"""Check that the view in another group is the same view."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.catalog import gateway_views, management_catalog
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from apiserver.registry.generic.regroupedregistry import in_group
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, Registries
from tests.unit.apiserver.registry.test_view_writes import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from apiserver.registry.generic.registry import Registry

OWN, STORED = "metal3.io/v1alpha1", "workload.metal3.io/v1alpha1"


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Registries, Registry]]:
    """Yield the registries, and that of the view in BMO's group, with one free host."""
    cache = WatchCache(SQLiteStore(folder / "db", synchronous="off"))
    catalog = management_catalog(cache, view_group="workload.metal3.io")
    views, _ = gateway_views(catalog)
    await cache.start()
    try:
        registries = Registries(catalog)
        await registries.add_host()
        yield registries, views
    finally:
        await cache.close()


def without_group(obj: dict[str, Any]) -> dict[str, Any]:
    return in_group(obj, "")


async def test_both_groups_have_the_same_objects(tmp_path: Path) -> None:
    async with both(tmp_path) as (registries, views):
        for entry in views.collection.range():
            stored = registries.views.get(entry.namespace, entry.name)
            assert (entry.object()["apiVersion"], stored.object()["apiVersion"]) == (OWN, STORED)
            assert without_group(entry.object()) == without_group(stored.object())
            assert (entry.key, entry.revision, entry.labels) == (stored.key, stored.revision, stored.labels)
        assert len(views.collection.range()) == 2
        # Also after a restart, when everything is decoded from the store.
    async with both_again(tmp_path) as views:
        assert [entry.object()["apiVersion"] for entry in views.collection.range()] == [OWN, OWN]


@asynccontextmanager
async def both_again(folder: Path) -> AsyncIterator[Registry]:
    cache = WatchCache(SQLiteStore(folder / "db", synchronous="off"))
    views, _ = gateway_views(management_catalog(cache, view_group="workload.metal3.io"))
    await cache.start()
    try:
        yield views
    finally:
        await cache.close()


async def test_an_applied_view_belongs_to_its_manager_in_both_groups(tmp_path: Path) -> None:
    async with both(tmp_path) as (registries, views):
        wanted = {"apiVersion": OWN, "kind": "BareMetalHost", "metadata": {"name": "node-0"}, "spec": {"consumerRef": CONSUMER}}
        context = Context(UserInfo("somebody"), field_manager="mine")
        entry, created = await views.apply(context, "tenant-a", "node-0", wanted, force=False)
        assert not created
        (own,) = [one for one in entry.object()["metadata"]["managedFields"] if one["manager"] == "mine"]
        stored = registries.views.get("tenant-a", "node-0").object()["metadata"]["managedFields"]
        (same,) = [one for one in stored if one["manager"] == "mine"]
        assert (own["apiVersion"], same["apiVersion"]) == (OWN, STORED)
        assert own["fieldsV1"] == same["fieldsV1"]
        # What is applied a second time changes nothing.
        again, _ = await views.apply(context, "tenant-a", "node-0", wanted, force=False)
        assert again.revision == registries.views.get("tenant-a", "node-0").revision
        with pytest.raises(ApiError) as refused:
            await views.apply(context, "tenant-a", "node-0", {**wanted, "spec": {"online": True}}, force=False)
        assert refused.value.message == f'Apply failed with 1 conflict: conflict with "metal3-workloads" using {OWN}: .spec.online'
        assert STORED not in str(refused.value.details)


async def test_admission_sees_the_stored_kind(tmp_path: Path) -> None:
    async with both(tmp_path) as (registries, views):
        registries.views.admission = Recorder("UPDATE baremetalhosts")
        with pytest.raises(ApiError) as refused:
            await views.update(CONTEXT, "tenant-a", "node-0", lambda old: {**old, "spec": {**old["spec"], "consumerRef": CONSUMER}})
        assert refused.value.message == 'baremetalhosts.metal3.io "node-0" is forbidden: the policy says no'
        assert refused.value.details["group"] == "metal3.io"


async def test_a_view_is_neither_created_nor_deleted_otherwise_than_in_its_own_group(tmp_path: Path) -> None:
    async with both(tmp_path) as (registries, views):
        host = {"apiVersion": OWN, "kind": "BareMetalHost", "metadata": {"name": "new"}, "spec": {"online": False}}
        with pytest.raises(ApiError) as refused:
            await views.create(CONTEXT, "tenant-a", host)
        assert refused.value.code == 405
        entry, gone = await views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
        assert (entry.object()["apiVersion"], gone) == (OWN, True)
        assert registries.view("tenant-a", "node-0") is None


def test_only_an_objects_own_group_changes() -> None:
    other = {"manager": "x", "apiVersion": "other/v1"}
    owner = {"apiVersion": STORED, "kind": "Workload", "name": "w"}
    stored = {
        "apiVersion": STORED,
        "metadata": {"managedFields": [{"manager": "m", "apiVersion": STORED}, other, "odd"], "ownerReferences": [owner]},
        "spec": {"consumerRef": {"apiVersion": STORED}},
    }
    shown = in_group(stored, OWN)
    assert shown["metadata"] == {"managedFields": [{"manager": "m", "apiVersion": OWN}, other, "odd"], "ownerReferences": [owner]}
    assert shown["spec"] == stored["spec"]
    assert in_group(shown, STORED) == stored
    assert in_group({"metadata": None}, OWN) == {"metadata": None}
