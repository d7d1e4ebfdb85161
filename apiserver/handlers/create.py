"""POST: a new object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.handlers.request.fieldvalidation import check_body
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.request.objects import check_kind, check_place, read_object, warn
from apiserver.handlers.request.options import context
from apiserver.handlers.response.respond import respond_entry

if TYPE_CHECKING:
    from aiohttp import web

    from apiserver.handlers.request.call import Call
    from apiserver.handlers.scope import Scope

__all__ = ["create"]


async def create(call: Call, scope: Scope) -> web.StreamResponse:
    """201 with the object as it was stored."""
    form = negotiate(call)
    how = context(call, "CreateOptions")
    decoded = await read_object(call, how, scope.resource)
    check_kind(scope.resource, decoded.value)
    check_place(call, scope.resource, decoded.value, name=False)
    check_body(how, scope.resource, scope.schema, decoded.value, decoded.duplicates)
    how.large = decoded.large
    await how.breathe()
    entry = await scope.registry.create(how, scope.namespace(call), decoded.value)
    warn(how, decoded.value)
    return respond_entry(call, form, scope.resource, entry, status=201)
