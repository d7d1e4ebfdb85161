"""Map a request to the function that handles it: one table for resources, one for other paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from apiserver.apis.metal3 import OWNERS_KINDS
from apiserver.apis.status import ApiError, bad_request, method_not_allowed, owners_alone, path_not_found
from apiserver.handlers.connect import connect
from apiserver.handlers.create import create
from apiserver.handlers.delete import delete
from apiserver.handlers.deletecollection import deletecollection
from apiserver.handlers.discovery.discovery import Discovery
from apiserver.handlers.discovery.openapi import OpenAPI
from apiserver.handlers.discovery.version import Version
from apiserver.handlers.get import get
from apiserver.handlers.list import list_
from apiserver.handlers.patch import patch
from apiserver.handlers.request.call import Call, Handler, RequestInfo
from apiserver.handlers.scope import READS, Scope, fresh
from apiserver.handlers.timings import Timings
from apiserver.handlers.update import update
from apiserver.handlers.watch import watch
from apiserver.handlers.watchers.registry import Watches
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import SCALE

VERBS: Mapping[str, Callable[[Call, Scope], Awaitable[web.StreamResponse]]] = {
    "get": get,
    "list": list_,
    "watch": watch,
    "create": create,
    "update": update,
    "patch": patch,
    "delete": delete,
    "deletecollection": deletecollection,
}
COLLECTION = frozenset({"list", "watch", "create", "deletecollection"})
EVERYWHERE = frozenset({"list", "watch"})


@dataclass(frozen=True, slots=True)
class _Route:
    """The verbs of one path.

    `reduced` is the scope for readers that may not see everything, if it differs (see
    Registry.reduced)."""

    scope: Scope
    verbs: frozenset[str]
    reduced: Scope


class Api:
    """The API of these registries.

    `handle` is the Handler behind all filters; it raises ApiError and StorageError. `extra` has
    handlers of other non-resource paths, by exact path. Call `stop_watches` before the server
    stops: watches then end as complete responses with a last bookmark."""

    def __init__(
        self,
        registries: Sequence[Registry],
        *,
        version: Version | None = None,
        extra: Mapping[str, Handler] | None = None,
        timings: Timings | None = None,
    ) -> None:
        resources = [registry.resource for registry in registries]
        version = version or Version()
        self.watches = Watches(timings)
        self._routes: dict[tuple[str, str, str, str], _Route] = {}
        for registry in registries:
            self._add(registry)
        self._paths: dict[str, Handler] = {
            **Discovery(resources).handlers(),
            **OpenAPI(resources, version).handlers(),
            "/version": version.handle,
            **(extra or {}),
        }
        self._paths["/"] = version.index(sorted(self._paths))

    async def handle(self, call: Call) -> web.StreamResponse:
        """Answer a call that has `info` and `user` and is authorized."""
        if call.info.is_resource:
            return await self._resource(call)
        handler = self._paths.get(call.info.path.rstrip("/") or "/")
        if handler is None:
            raise path_not_found()
        if call.http.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        return await handler(call)

    def stop_watches(self) -> None:
        """End all watches cleanly. New ones end at once."""
        self.watches.stop()

    def _add(self, registry: Registry) -> None:
        resource, scope = registry.resource, Scope(registry, self.watches)
        key = (resource.group, resource.version, resource.plural)
        reduced = Scope(registry.reduced, self.watches) if registry.reduced is not None else scope
        self._routes[(*key, "")] = _Route(scope, resource.verbs, reduced)
        for name, verbs in (resource.subresources or {}).items():
            self._routes[(*key, name)] = _Route(scope, verbs, reduced)
        if registry.scale is not None:
            scale = Scope(registry.scale, self.watches)
            self._routes[(*key, SCALE)] = _Route(scale, (resource.subresources or {})[SCALE], scale)

    async def _resource(self, call: Call) -> web.StreamResponse:
        info = call.info
        route = self._routes.get((info.group, info.version, info.resource, info.subresource))
        if route is None and info.resource in OWNERS_KINDS and (info.group, info.version, "hardwaredata", "") in self._routes:
            raise owners_alone(info.resource)
        if route is None or info.rest:
            known = (info.group, info.version, info.resource, "") in self._routes and info.subresource and not info.rest
            raise path_not_found(info.group, info.resource, info.name) if known else path_not_found()
        refusal = _refusal(info, namespaced=route.scope.resource.namespaced)
        if refusal is not None:
            raise refusal
        if info.verb not in route.verbs or (call.http.method == "HEAD" and info.verb == "watch"):
            raise method_not_allowed(info.group, info.resource)
        await fresh(route.scope, info.verb, call.query)
        if info.subresource not in ("", "status", SCALE):
            return await connect(call, route.scope)
        return await VERBS[info.verb](call, route.reduced if info.verb in READS and not call.privileged else route.scope)


def _refusal(info: RequestInfo, *, namespaced: bool) -> ApiError | None:
    """Return an error if the path cannot have this meaning for any resource."""
    collection = not info.subresource and (info.verb in COLLECTION and (info.verb in EVERYWHERE or not info.name))
    if not collection and not info.name:
        return method_not_allowed(info.group, info.resource)  # PUT or PATCH of a collection
    if info.verb == "create" and info.name and not info.subresource:
        return method_not_allowed(info.group, info.resource)
    if "%" in info.name and not collection:
        return bad_request(f"Name parameter invalid: \"{info.name}\": may not contain '%'")
    if namespaced and not info.namespace:
        if not collection:
            return path_not_found()
        return None if info.verb in EVERYWHERE else method_not_allowed(info.group, info.resource)
    if not namespaced and info.namespace and info.resource != "namespaces":
        return path_not_found()
    return None
