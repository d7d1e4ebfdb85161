"""Serve the objects of a registry in another API group as well.

The objects, their rules and their admission are those of the other registry. Only the names that
clients see differ: the group in apiVersion, in managedFields, and in errors.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import orjson

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, DeleteOptions
from apiserver.registry.generic.entry import Change, Entry
from apiserver.registry.generic.registry import Registry


class RegroupedRegistry(Registry):
    """The objects of `inner` in `group`, with their own `indexers`.

    Create it before the watch cache starts."""

    def __init__(self, inner: Registry, group: str, indexers: Mapping[str, Callable[[Entry], Iterable[Hashable]]] | None = None) -> None:
        resource = replace(inner.resource, group=group, stored_group=inner.resource.group)
        self._inner, self._own, self._stored = inner, resource.api_version, inner.resource.api_version
        super().__init__(resource, inner.cache, indexers=indexers, convert=lambda obj: in_group(obj, self._own))

    async def create(self, context: Context, namespace: str, obj: dict[str, Any], *, applied: bool = False) -> Entry:
        """Create the object in the other registry. See Registry."""
        with self._errors():
            return self._shown(await self._inner.create(context, namespace, self._as_stored(obj), applied=applied))

    async def update(
        self, context: Context, namespace: str, name: str, change: Change, *, subresource: str = "", applied: bool = False
    ) -> Entry:
        """Update the object in the other registry. See Registry."""

        def changed(current: dict[str, Any]) -> dict[str, Any]:
            return self._as_stored(change(in_group(current, self._own)))

        with self._errors():
            return self._shown(await self._inner.update(context, namespace, name, changed, subresource=subresource, applied=applied))

    async def apply(
        self, context: Context, namespace: str, name: str, wanted: dict[str, Any], *, force: bool, subresource: str = ""
    ) -> tuple[Entry, bool]:
        """Apply `wanted` in the other registry. See Registry."""
        with self._errors():
            stored = self._as_stored(wanted)
            entry, created = await self._inner.apply(context, namespace, name, stored, force=force, subresource=subresource)
        return self._shown(entry), created

    async def delete(self, context: Context, namespace: str, name: str, options: DeleteOptions) -> tuple[Entry, bool]:
        """Delete the object in the other registry. See Registry."""
        with self._errors():
            entry, gone = await self._inner.delete(context, namespace, name, options)
        return self._shown(entry), gone

    async def connect(self, context: Context, namespace: str, name: str, subresource: str, body: dict[str, Any]) -> dict[str, Any]:
        """Execute a subresource of the other registry. See Registry."""
        with self._errors():
            return await self._inner.connect(context, namespace, name, subresource, body)

    def _as_stored(self, obj: dict[str, Any]) -> dict[str, Any]:
        return in_group(obj, self._stored)

    def _shown(self, entry: Entry) -> Entry:
        json = orjson.dumps(in_group(entry.object(), self._own))
        return Entry(entry.key, entry.namespace, entry.name, entry.revision, json, entry.labels, entry.fields)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Name this registry's group in the errors of the other one."""
        try:
            yield
        except ApiError as error:
            raise self._named(error) from error

    def _named(self, error: ApiError) -> ApiError:
        stored, details = self._inner.resource, error.details
        if error.reason == "Conflict" and "causes" in details:  # of a server-side apply
            causes = [{**one, "message": one["message"].replace(self._stored, self._own)} for one in details["causes"]]
            message = error.message.replace(self._stored, self._own)
            return ApiError(error.code, error.reason, message, details={**details, "causes": causes}, retry_after=error.retry_after)
        if details.get("group") != stored.group or details.get("kind") not in (stored.plural, stored.kind):
            return error
        message = error.message
        for name in (stored.plural, stored.kind):
            message = message.replace(f"{name}.{stored.group}", f"{name}.{self.resource.group}")
        details = {**details, "group": self.resource.group}
        return ApiError(error.code, error.reason, message, details=details, retry_after=error.retry_after)


def in_group(obj: dict[str, Any], api_version: str) -> dict[str, Any]:
    """Return the object with this apiVersion, also where managedFields name the object's own.

    The argument is not changed."""
    own, metadata = obj.get("apiVersion"), obj.get("metadata")
    fields = metadata.get("managedFields") if isinstance(metadata, dict) else None
    found = {**obj, "apiVersion": api_version} if own is not None else obj
    if not isinstance(metadata, dict) or not isinstance(fields, list) or own is None:
        return found
    renamed = [{**one, "apiVersion": api_version} if isinstance(one, dict) and one.get("apiVersion") == own else one for one in fields]
    return {**found, "metadata": {**metadata, "managedFields": renamed}}
