"""Refuse creations in missing or terminating namespaces (NamespaceLifecycle of kube-apiserver)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from apiserver.apis.status import cause, forbidden, not_found
from apiserver.registry.claims.namespaces import Namespaces
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.resource import Resource

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
LIVE_SECONDS = 30.0
"""The seconds after a namespace's deletion in which creations are checked at the source, not a
cache."""


class NamespaceLifecycle:
    """The Admission of NamespaceLifecycle.

    Updates and deletions pass, so that the objects of a terminating namespace can be deleted."""

    def __init__(self, namespaces: Namespaces, clock: Callable[[], float] = time.monotonic) -> None:
        self._namespaces, self._clock = namespaces, clock
        self._deleted: dict[str, float] = {}

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Check the namespace. See Admission.

        Raises ApiError: 404 for a missing namespace, 403 for a terminating or immortal one."""
        resource = attributes.resource
        if resource.group == "" and resource.plural == "namespaces":
            self._guard(attributes.operation, attributes.name)
        elif attributes.operation == "CREATE" and resource.namespaced:
            await self._expect_active(resource, attributes.namespace, attributes.name)
        return attributes.new

    def _guard(self, operation: str, name: str) -> None:
        if operation == "DELETE" and name in IMMORTAL:
            raise forbidden("", "namespaces", name, "this namespace may not be deleted")
        if operation == "DELETE":
            now = self._clock()
            self._deleted = {known: when for known, when in self._deleted.items() if now - when < LIVE_SECONDS}
            self._deleted[name] = now

    async def _expect_active(self, resource: Resource, namespace: str, name: str) -> None:
        live = self._clock() - self._deleted.get(namespace, -LIVE_SECONDS) < LIVE_SECONDS
        found = await self._namespaces.get(namespace, live=live)
        if found is None:
            raise not_found("", "namespaces", namespace)
        if _terminating(found):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            reason = cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
            raise forbidden(resource.group, resource.plural, name, why, [reason])


def _terminating(namespace: dict[str, Any]) -> bool:
    phase = (namespace.get("status") or {}).get("phase")
    return phase == "Terminating" or bool((namespace.get("metadata") or {}).get("deletionTimestamp"))
