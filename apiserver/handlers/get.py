"""Handle GET of one object: return the cached bytes."""

from __future__ import annotations

from aiohttp import web

from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.response.respond import respond_entry
from apiserver.handlers.scope import Scope


async def get(call: Call, scope: Scope) -> web.StreamResponse:
    """Answer 200 with the object. A GET of the status subresource returns the whole object too."""
    form = negotiate(call)
    entry = scope.registry.get(scope.namespace(call), call.info.name)
    return respond_entry(call, form, scope.resource, entry)
