"""Check that dev mode deletes, keeps and orphans the members of sets as Kubernetes does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.dev.garbagecollector import GarbageCollector
from apiserver.registry.generic.context import DeleteOptions
from tests.unit.apiserver.registry.conftest import CONTEXT, Registries, registries
from tests.unit.apiserver.registry.test_workloadset import create, made

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["registries"]


async def owned(registries: Registries, **metadata: Any) -> GarbageCollector:
    """Create a set with one member."""
    owner = await create(registries, made())
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": "db", "uid": owner["metadata"]["uid"]}
    for name, owners in (("db-0", [reference]), ("alone", None)):
        await registries.workloads.create(
            CONTEXT, "tenant-a", {"metadata": {"name": name, "ownerReferences": owners, **metadata}, "spec": {}}
        )
    return GarbageCollector(registries.workloads.cache, registries.catalog.sets, registries.workloads)


def names(registries: Registries) -> list[str]:
    return [entry.name for entry in registries.workloads.collection.range()]


@pytest.mark.parametrize(("propagation", "left"), [("Background", ["alone"]), ("Foreground", ["alone"]), ("Orphan", ["alone", "db-0"])])
async def test_a_set_is_deleted(registries: Registries, propagation: str, left: list[str]) -> None:
    collector = await owned(registries)
    await collector.sweep()
    assert names(registries) == ["alone", "db-0"]
    await registries.catalog.sets.delete(CONTEXT, "tenant-a", "db", DeleteOptions(propagation=propagation))
    for _ in range(3):
        await collector.sweep()
    assert names(registries) == left
    assert registries.catalog.sets.find("tenant-a", "db") is None
    if "db-0" in left:
        assert "ownerReferences" not in registries.workloads.get("tenant-a", "db-0").object()["metadata"]


async def test_a_foreground_deletion_waits_for_members(registries: Registries) -> None:
    collector = await owned(registries, finalizers=["example.com/wait"])
    await registries.catalog.sets.delete(CONTEXT, "tenant-a", "db", DeleteOptions(propagation="Foreground"))
    for _ in range(3):
        await collector.sweep()
    assert registries.catalog.sets.find("tenant-a", "db") is not None
    release: Callable[[dict[str, Any]], dict[str, Any]] = lambda old: {**old, "metadata": {**old["metadata"], "finalizers": []}}  # noqa: E731 - a typed name for what is repeated
    await registries.workloads.update(CONTEXT, "tenant-a", "db-0", release)
    await collector.sweep()
    assert registries.catalog.sets.find("tenant-a", "db") is None
