"""What the handlers of one resource share, and how fresh a read must be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from apiserver.handlers.response.errors import too_large_revision
from apiserver.handlers.watchers.broadcaster import Fanout
from apiserver.handlers.watchers.frames import Memo
from apiserver.registry.generic.schema import model_schema
from storage.base import FutureRevision

if TYPE_CHECKING:
    from typing import Any

    from apiserver.handlers.request.call import Call
    from apiserver.handlers.watchers.registry import Watches
    from apiserver.registry.generic.registry import Registry
    from apiserver.registry.generic.resource import Resource

__all__ = ["PATIENCE", "Scope", "fresh"]

PATIENCE = 3.0
"""Seconds to wait for a resourceVersion that has not come yet (kube-apiserver's blockTimeout)."""


@dataclass(slots=True)
class Scope:
    """One resource: its registry, the schema that its fields are checked against, what its watchers share, and the watches of
    the whole API."""

    registry: Registry
    watches: Watches
    schema: dict[str, Any] = field(init=False)
    memo: Memo = field(init=False, default_factory=Memo)
    fanout: Fanout = field(init=False)

    def __post_init__(self) -> None:
        self.fanout = Fanout(self.registry.collection)
        self.schema = model_schema(self.registry.resource.model)

    @property
    def resource(self) -> Resource:
        """The kind."""
        return self.registry.resource

    def namespace(self, call: Call) -> str:
        """The namespace as the registry takes it: "" for cluster-scoped kinds, also for Namespace, whose requests name one."""
        return call.info.namespace if self.resource.namespaced else ""


async def fresh(scope: Scope, revision: int | None) -> None:
    """Make sure that reads right after this are new enough: None means linearizable, 0 anything, else not older than `revision`.
    Raises ApiError (504) for a revision that does not come in time."""
    cache = scope.registry.cache
    if revision is None:
        await cache.confirm()
    elif revision:
        try:
            await cache.wait_for(revision, PATIENCE)
        except FutureRevision as error:
            raise too_large_revision(error.revision, error.current) from None
