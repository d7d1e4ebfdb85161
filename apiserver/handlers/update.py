"""Handle PUT: replace an object or its status.

The registry refuses an object that does not name the resourceVersion on which it is based."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from apiserver.handlers.request.call import Call
from apiserver.handlers.request.fieldvalidation import check_body
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.request.objects import check_kind, check_place, read_object, typed, warn
from apiserver.handlers.request.options import context
from apiserver.handlers.response.respond import respond_entry
from apiserver.handlers.scope import Scope


async def update(call: Call, scope: Scope) -> web.StreamResponse:
    """Answer 200 with the updated object."""
    form = negotiate(call)
    how = context(call, "UpdateOptions", has_version=True)
    decoded = await read_object(call, how, scope.resource)
    check_kind(scope.resource, decoded.value)
    wanted = typed(scope.resource, decoded.value)
    check_body(how, scope.resource, scope.schema, wanted, decoded.duplicates)
    check_place(call, scope.resource, wanted, name=True)
    how.large = decoded.large
    await how.yield_if_large()
    before: dict[str, Any] = {}

    def change(current: dict[str, Any]) -> dict[str, Any]:
        nonlocal before
        before = current
        return wanted

    entry = await scope.registry.update(how, scope.namespace(call), call.info.name, change, subresource=call.info.subresource)
    warn(how, wanted, before)
    return respond_entry(call, form, scope.resource, entry)
