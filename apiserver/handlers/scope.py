"""Hold the state that the handlers of one resource share, and ensure the freshness of a read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apiserver.handlers.request.call import Call
from apiserver.handlers.request.options import resource_version
from apiserver.handlers.response.continuetoken import LATEST, Token
from apiserver.handlers.response.errors import too_large_revision
from apiserver.handlers.watchers.broadcaster import Broadcaster
from apiserver.handlers.watchers.frames import BatchCache
from apiserver.handlers.watchers.registry import Watches
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.schema import model_schema
from storage.base import FutureRevision

READS, LISTS = ("get", "list", "watch"), ("list", "deletecollection")


@dataclass(slots=True)
class Scope:
    """One resource: its registry, its schema, the state shared by its watches, and the API's
    watches."""

    registry: Registry
    watches: Watches
    schema: dict[str, Any] = field(init=False)
    batch_cache: BatchCache = field(init=False, default_factory=BatchCache)
    broadcaster: Broadcaster = field(init=False)

    def __post_init__(self) -> None:
        self.broadcaster = Broadcaster(self.registry.collection)
        self.schema = model_schema(self.registry.resource.model)

    @property
    def resource(self) -> Resource:
        """Return the kind."""
        return self.registry.resource

    def namespace(self, call: Call) -> str:
        """Return the namespace for the registry.

        It is "" for cluster-scoped kinds, including Namespace, whose requests name one."""
        return call.info.namespace if self.resource.namespaced else ""


async def fresh(scope: Scope, verb: str, query: Mapping[str, str]) -> None:
    """Wait until the state is as fresh as the request requires. Raises ApiError (504) after
    Timings.future.

    A write decides by current data, including writes that another replica has just acknowledged. A
    read without resourceVersion is linearizable. With resourceVersion 0 it takes any state, and
    with another one any state that is not older."""
    cache, revision = scope.registry.cache, _revision(verb, query)
    if revision is None or verb not in READS:
        await cache.confirm()
    if revision:
        try:
            await cache.wait_for(revision, scope.watches.timings.future)
        except FutureRevision as error:
            raise too_large_revision(error.revision, error.current) from None


def _revision(verb: str, query: Mapping[str, str]) -> int | None:
    if verb in LISTS and query.get("continue"):
        return None if Token.decode(query["continue"]).revision == LATEST else 0
    return resource_version(query) if verb in (*READS, *LISTS) else None
