"""Let one tenant fill up a store, and check that other tenants' machines can still be released."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.host import host_name
from apiserver.registry.catalog import Catalog, management_catalog
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from storage.base import Full
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

OWNER = Context(UserInfo("owner"))
LIMIT = 4 << 20
CLASS = {
    "metadata": {"name": "metal"},
    "spec": {"provisioner": "metal3.io/baremetalhost", "parameters": {"namespace": "metal3"}, "allowedNamespaces": {"nameMatches": ".*"}},
}
HOST = {"metadata": {"name": host_name("s0")}, "spec": {"className": "metal", "source": {"uid": "s0", "name": "node-0"}}}
REPORT = {"name": "node-0", "spec": {}, "status": {"provisioning": {"state": "available", "ID": "x"}}}


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Catalog]:
    """Yield a tenant's running Workload, after another tenant has filled the store in every way."""
    cache = WatchCache(SQLiteStore(tmp_path / "db", synchronous="off", max_bytes=LIMIT))
    catalog = management_catalog(cache)
    await cache.start()
    try:
        await running(catalog)
        await fill(catalog)
        yield catalog
    finally:
        await cache.close()


async def running(catalog: Catalog) -> None:
    await catalog.classes.create(OWNER, "", CLASS)
    await catalog.hosts.create(OWNER, "", HOST)
    status = {"report": REPORT, "available": True}
    await catalog.hosts.update(OWNER, "", host_name("s0"), lambda old: {**old, "status": status}, subresource="status")
    await catalog.workloads.create(OWNER, "victim", {"metadata": {"name": "web"}, "spec": {"className": "metal"}})
    await catalog.workloads.connect(OWNER, "victim", "web", "binding", {"target": {"name": host_name("s0")}})


async def refused(write: Callable[[int], Awaitable[Any]]) -> None:
    """Write until the store refuses for good: expired history makes room for a while."""
    number = misses = 0
    while misses < 10:
        try:
            await write(number)
            number, misses = number + 1, 0
        except Full:
            misses += 1
            await asyncio.sleep(0.01)


async def fill(catalog: Catalog) -> None:
    names: list[str] = []

    async def create(size: int) -> None:
        meta = {"name": f"w{len(names)}", "annotations": {"a": "x" * size}, "finalizers": ["example.com/hold"]}
        await catalog.workloads.create(OWNER, "greedy", {"metadata": meta, "spec": {"className": "metal"}})
        names.append(str(meta["name"]))

    async def grow(number: int) -> None:
        name = names[-1 - number % len(names[-10:])]  # small objects: their history makes no room
        await catalog.workloads.update(OWNER, "greedy", name, lambda old: annotated(old, f"b{number}", "y" * 1500))

    for size in (100_000, 2800, 10):
        await refused(lambda number, size=size: create(size))  # type: ignore[misc] # mypy does not infer the defaults of lambdas
    await refused(grow)
    for name in names:
        await catalog.workloads.delete(OWNER, "greedy", name, DeleteOptions())
    await refused(grow)


def annotated(obj: dict[str, Any], key: str, value: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "annotations": {**(obj["metadata"].get("annotations") or {}), key: value}}}


async def released(catalog: Catalog) -> None:
    """Write what the controllers write about a deleted Workload, until it is gone."""
    assert "deletionTimestamp" in catalog.workloads.get("victim", "web").object()["metadata"]
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "Releasing",
        "message": "m" * 1000,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"phase": "Deprovisioning", "conditions": [condition]}
    await catalog.workloads.update(OWNER, "victim", "web", lambda old: {**old, "status": {**old["status"], **status}}, subresource="status")
    report = {"report": REPORT, "available": False, "reason": "Releasing", "message": "m" * 1000}
    await catalog.hosts.update(OWNER, "", host_name("s0"), lambda old: {**old, "status": report}, subresource="status")
    await catalog.hosts.update(
        OWNER, "", host_name("s0"), lambda old: {**old, "spec": {k: v for k, v in old["spec"].items() if k != "claimRef"}}
    )
    await catalog.workloads.update(
        OWNER, "victim", "web", lambda old: {**old, "metadata": {k: v for k, v in old["metadata"].items() if k != "finalizers"}}
    )
    assert catalog.workloads.find("victim", "web") is None


async def test_a_workload_is_released(full: Catalog) -> None:
    await full.workloads.delete(OWNER, "victim", "web", DeleteOptions())
    await released(full)


async def test_a_host_is_released_through_its_view(full: Catalog) -> None:
    view = next(entry for entry in full.views.collection.range() if entry.namespace == "victim")
    await full.views.delete(OWNER, "victim", view.name, DeleteOptions())
    await released(full)


async def test_what_the_filler_holds_can_be_deleted(full: Catalog) -> None:
    for entry in full.workloads.collection.range(full.workloads.resource.key("greedy", "")):
        bare = {k: v for k, v in entry.object()["metadata"].items() if k != "finalizers"}
        await full.workloads.update(OWNER, "greedy", entry.name, lambda old, bare=bare: {**old, "metadata": bare})  # type: ignore[misc] # mypy does not infer the defaults of lambdas
    await full.workloads.create(OWNER, "greedy", {"metadata": {"name": "new"}, "spec": {"className": "metal"}})
