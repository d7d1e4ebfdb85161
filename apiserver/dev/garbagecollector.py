"""Collect garbage in dev mode: the members of deleted WorkloadSets.

In a cluster, kube-controller-manager's garbage collector does this for every kind."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.registry import Registry
from storage.base import Event, StorageError
from storage.cache import WatchCache

log = logging.getLogger(__name__)

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"
USER = UserInfo("system:metal3-workloads:dev")
OWNED = b'"ownerReferences":'
"""A part of the JSON of every object that has an owner."""


class GarbageCollector:
    """Deletes the objects of `dependents` whose owners in `owners` are gone.

    It also carries out deletions with the propagation Foreground and Orphan."""

    def __init__(self, cache: WatchCache, owners: Registry, dependents: Registry) -> None:
        self._cache, self._owners, self._dependents = cache, owners, dependents

    async def run(self) -> None:
        """Sweep at every change of an owner, or of an object that has one."""
        while True:
            try:
                after = self._cache.revision
                await self.sweep()
                async for event in self._cache.watch("/registry/", after):
                    if isinstance(event, Event) and self._concerns(event):
                        await self.sweep()
            except (StorageError, ApiError) as error:
                # Nothing is lost: the next round examines everything again.
                log.info("garbage collection starts over: %s", error)
                await asyncio.sleep(1.0)

    def _concerns(self, event: Event) -> bool:
        owned = event.key.startswith(self._dependents.resource.prefix) and OWNED in (event.value or event.previous or b"")
        return owned or event.key.startswith(self._owners.resource.prefix)

    async def sweep(self) -> None:
        """Examine every owner that is being deleted, and every object with an owner."""
        owned = [entry for entry in self._dependents.collection.range() if OWNED in entry.json]
        owners = {obj["metadata"]["uid"]: obj for obj in (entry.object() for entry in self._owners.collection.range())}
        dependents: dict[str, list[Entry]] = {}
        for entry in owned:
            for uid in self._owners_of(entry.object()):
                dependents.setdefault(uid, []).append(entry)
        for uid, found in dependents.items():
            if uid not in owners:
                await self._delete(found)
        for uid, owner in owners.items():
            if "deletionTimestamp" in owner["metadata"]:
                await self._finish(owner, dependents.get(uid, []))

    def _owners_of(self, obj: dict[str, Any]) -> list[str]:
        """Return the uids of the object's owners of the kind that this collector knows."""
        resource = self._owners.resource
        references = obj["metadata"].get("ownerReferences") or ()
        return [one["uid"] for one in references if (one["apiVersion"], one["kind"]) == (resource.api_version, resource.kind)]

    async def _finish(self, owner: dict[str, Any], dependents: list[Entry]) -> None:
        finalizers = owner["metadata"].get("finalizers") or ()
        if ORPHAN in finalizers:
            for entry in dependents:
                await self._write(self._dependents, entry.namespace, entry.name, _without_owner(owner["metadata"]["uid"]))
            await self._write(self._owners, owner["metadata"]["namespace"], owner["metadata"]["name"], _without_finalizer(ORPHAN))
        elif FOREGROUND in finalizers and dependents:
            await self._delete(dependents)
        elif FOREGROUND in finalizers:
            await self._write(self._owners, owner["metadata"]["namespace"], owner["metadata"]["name"], _without_finalizer(FOREGROUND))

    async def _delete(self, dependents: list[Entry]) -> None:
        for entry in dependents:
            if "deletionTimestamp" not in entry.object()["metadata"]:
                try:
                    await self._dependents.delete(_context(), entry.namespace, entry.name, DeleteOptions())
                except ApiError as error:
                    if error.code != 404:
                        raise

    async def _write(self, registry: Registry, namespace: str, name: str, change: Any) -> None:
        try:
            await registry.update(_context(), namespace, name, change)
        except ApiError as error:
            if error.code != 404:
                raise


def _without_owner(uid: str) -> Any:
    def change(obj: dict[str, Any]) -> dict[str, Any]:
        owners = [owner for owner in obj["metadata"].get("ownerReferences") or () if owner["uid"] != uid]
        return {**obj, "metadata": {**obj["metadata"], "ownerReferences": owners}}

    return change


def _without_finalizer(finalizer: str) -> Any:
    def change(obj: dict[str, Any]) -> dict[str, Any]:
        left = [name for name in obj["metadata"].get("finalizers") or () if name != finalizer]
        return {**obj, "metadata": {**obj["metadata"], "finalizers": left}}

    return change


def _context() -> Context:
    return Context(USER, field_manager="metal3-workloads-dev")
