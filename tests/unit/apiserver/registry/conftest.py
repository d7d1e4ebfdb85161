"""Provide the management registries over a real SQLite store, and functions that create hosts and
workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.host import host_name
from apiserver.registry.catalog import Catalog, management_catalog
from apiserver.registry.generic.context import Context, UserInfo
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CONTEXT = Context(UserInfo("somebody"))

IMAGE = {"url": "http://images.example/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256"}
CONSUMER = {"kind": "Metal3Machine", "name": "m-0", "namespace": "tenant-a", "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1"}


def report(name: str = "node-0", state: str = "available", **status: Any) -> dict[str, Any]:
    """Return a provider's report of an idle host."""
    return {
        "name": name,
        "labels": {"rack": "r1"},
        "spec": {"online": False, "bootMACAddress": "00:11:22:33:44:55", "automatedCleaningMode": "metadata"},
        "status": {"operationalStatus": "OK", "errorMessage": "", "poweredOn": False, "provisioning": {"state": state, "ID": ""}, **status},
    }


class Registries:
    """The registries, with shortcuts for tests."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.workloads, self.hosts, self.views, self.classes = catalog.workloads, catalog.hosts, catalog.views, catalog.classes

    async def add_host(self, name: str = "node-0", uid: str = "", offers: tuple[str, ...] = ("tenant-a", "tenant-b")) -> str:
        """Create a free host that is offered to the namespaces. Return the Host's name."""
        identity = uid or f"uid-{name}"
        spec = {"className": "metal", "source": {"namespace": "metal3", "name": name, "uid": identity}}
        entry = await self.hosts.create(CONTEXT, "", {"metadata": {"name": host_name(identity)}, "spec": spec})
        await self.report(entry.name, {"available": True, "report": report(name)})
        await self.hosts.connect(CONTEXT, "", entry.name, "offers", {"namespaces": list(offers)})
        return entry.name

    async def report(self, host: str, status: dict[str, Any]) -> None:
        """Write a status as the host controller does."""
        await self.hosts.update(CONTEXT, "", host, lambda old: {**old, "status": status}, subresource="status")

    async def patch_view(self, namespace: str, name: str, context: Context = CONTEXT, **spec: Any) -> dict[str, Any]:
        """Merge spec fields into a view; None removes a field."""

        def change(view: dict[str, Any]) -> dict[str, Any]:
            return {**view, "spec": {k: v for k, v in {**view["spec"], **spec}.items() if v is not None}}

        return (await self.views.update(context, namespace, name, change)).object()

    def view(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the view as it is now."""
        entry = self.views.find(namespace, name)
        return entry.object() if entry else None


@pytest.fixture
async def registries(tmp_path: Path) -> AsyncIterator[Registries]:
    """Yield registries without admission, over SQLite."""
    cache = WatchCache(SQLiteStore(tmp_path / "db", synchronous="off"))
    catalog = management_catalog(cache)
    await cache.start()
    yield Registries(catalog)
    await cache.close()


class NamedNamespaces:
    """Namespaces of every name, each with a uid that is derived from the name."""

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        return {"metadata": {"name": name, "uid": f"uid-{name}"}}


@pytest.fixture
async def named(tmp_path: Path) -> AsyncIterator[Registries]:
    """Yield registries like `registries`, with namespaces that have uids."""
    cache = WatchCache(SQLiteStore(tmp_path / "named", synchronous="off"))
    catalog = management_catalog(cache, namespaces=NamedNamespaces())
    await cache.start()
    yield Registries(catalog)
    await cache.close()
