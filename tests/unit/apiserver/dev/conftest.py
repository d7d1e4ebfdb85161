"""Provide the core registries, and the owner's hosts, over a real SQLite store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.namespacelifecycle import NamespaceLifecycle
from apiserver.dev.core import CoreCatalog, LocalNamespaces, core_catalog
from apiserver.dev.hardware import real_hosts
from apiserver.registry.generic.context import Context, UserInfo
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from apiserver.registry.generic.registry import Registry

CONTEXT = Context(UserInfo("somebody"))


@dataclass
class Registries:
    """The registries of a hardware endpoint."""

    cache: WatchCache
    core: CoreCatalog
    hosts: Registry

    @property
    def by_kind(self) -> dict[str, Registry]:
        return {registry.resource.kind: registry for registry in (*self.core.registries, self.hosts)}

    async def make(self, obj: dict[str, Any]) -> dict[str, Any]:
        """Create an object of any kind."""
        registry = self.by_kind[obj["kind"]]
        return (await registry.create(CONTEXT, obj["metadata"].get("namespace", ""), obj)).object()

    async def namespace(self, name: str) -> dict[str, Any]:
        return await self.make({"kind": "Namespace", "metadata": {"name": name}})


@pytest.fixture
async def registries(tmp_path: Path) -> AsyncIterator[Registries]:
    """Yield the registries with NamespaceLifecycle."""
    cache = WatchCache(SQLiteStore(tmp_path / "db", synchronous="off"))
    namespaces = LocalNamespaces()
    admission = AdmissionChain([NamespaceLifecycle(namespaces)])
    core = core_catalog(cache, admission)
    namespaces.registry = core.namespaces
    hosts = real_hosts(cache, admission)
    await cache.start()
    yield Registries(cache, core, hosts)
    await cache.close()
