"""Handle POST and PUT of subresources that are actions, such as binding and offers."""

from __future__ import annotations

from aiohttp import web

from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.request.objects import check_place, read_object
from apiserver.handlers.request.options import context
from apiserver.handlers.response.respond import respond
from apiserver.handlers.scope import Scope


async def connect(call: Call, scope: Scope) -> web.StreamResponse:
    """Return the answer of the action: 201 for POST, 200 for PUT."""
    form = negotiate(call)
    created = call.info.verb == "create"
    how = context(call, "CreateOptions" if created else "UpdateOptions")
    decoded = await read_object(call, how)
    check_place(call, scope.resource, decoded.value, name=False)
    answer = await scope.registry.connect(how, scope.namespace(call), call.info.name, call.info.subresource, decoded.value)
    return respond(call, form, answer, status=201 if created else 200)
