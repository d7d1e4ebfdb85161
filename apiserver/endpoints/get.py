"""GET of one object: the cached bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.endpoints.negotiation import negotiate
from apiserver.endpoints.options import resource_version
from apiserver.endpoints.respond import respond_entry
from apiserver.endpoints.scope import fresh

if TYPE_CHECKING:
    from aiohttp import web

    from apiserver.endpoints.call import Call
    from apiserver.endpoints.scope import Scope

__all__ = ["get"]


async def get(call: Call, scope: Scope) -> web.StreamResponse:
    """Also of the status subresource, which reads as the whole object."""
    form = negotiate(call)
    await fresh(scope, resource_version(call.query))
    entry = scope.registry.get(scope.namespace(call), call.info.name)
    return respond_entry(call, form, scope.resource, entry)
