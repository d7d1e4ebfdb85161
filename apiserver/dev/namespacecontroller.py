"""Empty terminating namespaces and delete old events in dev mode.

In a cluster, kube-controller-manager and kube-apiserver do this."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apiserver.apis.status import ApiError
from apiserver.dev.core import FINALIZER
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.registry import Registry
from storage.base import StorageError
from storage.cache import WatchCache

log = logging.getLogger(__name__)

EVENT_LIFE = timedelta(hours=1)
ROUND_SECONDS = 300.0
USER = UserInfo("system:metal3-workloads:dev")


class NamespaceController:
    """Empties the terminating namespaces of one endpoint, and deletes its old events."""

    def __init__(self, cache: WatchCache, namespaces: Registry, events: Registry, registries: Sequence[Registry]) -> None:
        self._cache, self._namespaces, self._events = cache, namespaces, events
        self._contents = [registry for registry in registries if registry.resource.namespaced]

    async def run(self) -> None:
        """Sweep at every change while a namespace is terminating, and delete old events
        periodically."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._forget())

    async def _follow(self) -> None:
        while True:
            try:
                after = self._cache.revision
                await self.sweep()
                async for _ in self._cache.watch("/registry/", after):
                    await self.sweep()
            except (StorageError, ApiError) as error:
                # Nothing is lost: the next round examines everything again.
                log.info("emptying namespaces starts over: %s", error)
                await asyncio.sleep(1.0)

    async def _forget(self) -> None:
        while True:
            await self.forget_events(datetime.now(UTC))
            await asyncio.sleep(ROUND_SECONDS)

    async def sweep(self) -> None:
        """Delete the objects in terminating namespaces, and the finalizer of empty ones."""
        for namespace in self._namespaces.collection.range():
            obj = namespace.object()
            if "deletionTimestamp" in obj["metadata"] and await self._empty(namespace.name):
                await self._namespaces.update(_context(), "", namespace.name, _without_finalizer)

    async def forget_events(self, now: datetime) -> None:
        """Delete the events that last happened more than an hour ago."""
        oldest = (now - EVENT_LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
        for entry in self._events.collection.range():
            obj = entry.object()
            if (obj.get("lastTimestamp") or obj["metadata"]["creationTimestamp"]) < oldest:
                await _delete(self._events, entry)

    async def _empty(self, namespace: str) -> bool:
        left = 0
        for registry in self._contents:
            for entry in registry.collection.range(registry.resource.key(namespace, "")):
                left += 1
                if "deletionTimestamp" not in entry.object()["metadata"]:
                    await _delete(registry, entry)
        return left == 0


async def _delete(registry: Registry, entry: Entry) -> None:
    try:
        await registry.delete(_context(), entry.namespace, entry.name, DeleteOptions())
    except ApiError as error:
        if error.code != 404:
            log.warning("%s %s/%s cannot be deleted: %s", registry.resource.plural, entry.namespace, entry.name, error)


def _without_finalizer(obj: dict[str, Any]) -> dict[str, Any]:
    obj["metadata"]["finalizers"] = [name for name in obj["metadata"].get("finalizers") or () if name != FINALIZER]
    return obj


def _context() -> Context:
    return Context(USER, field_manager="metal3-workloads-dev")
