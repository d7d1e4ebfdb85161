"""Hold what the handlers of one resource share, and ensure the freshness of a read."""

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
"""The seconds to wait for a resourceVersion from the future (kube-apiserver's blockTimeout)."""


@dataclass(slots=True)
class Scope:
    """One resource: its registry, its schema, the state shared by its watches, and the API's
    watches."""

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
        """Return the namespace for the registry.

        It is "" for cluster-scoped kinds, including Namespace, whose requests name one."""
        return call.info.namespace if self.resource.namespaced else ""


async def fresh(scope: Scope, revision: int | None) -> None:
    """Wait until reads are as fresh as `revision` requires. Raises ApiError (504) after PATIENCE.

    None means linearizable, 0 any state, and another number not older than that revision."""
    cache = scope.registry.cache
    if revision is None:
        await cache.confirm()
    elif revision:
        try:
            await cache.wait_for(revision, PATIENCE)
        except FutureRevision as error:
            raise too_large_revision(error.revision, error.current) from None
