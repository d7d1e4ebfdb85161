"""Handle POST: create an object."""

from __future__ import annotations

from aiohttp import web

from apiserver.apis.status import ApiError
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.fieldvalidation import check_body
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.request.objects import check_kind, check_place, read_object, typed, warn
from apiserver.handlers.request.options import context
from apiserver.handlers.response.respond import respond_entry
from apiserver.handlers.scope import Scope


async def create(call: Call, scope: Scope) -> web.StreamResponse:
    """Answer 201 with the stored object."""
    form = negotiate(call)
    how = context(call, "CreateOptions")
    decoded = await read_object(call, how, scope.resource)
    check_kind(scope.resource, decoded.value)
    obj = typed(scope.resource, decoded.value)
    check_body(how, scope.resource, scope.schema, obj, decoded.duplicates)
    check_place(call, scope.resource, obj, name=False)
    how.large = decoded.large
    await how.yield_if_large()
    try:
        entry = await scope.registry.create(how, scope.namespace(call), obj)
    except ApiError as error:
        if error.reason == "AlreadyExists":
            warn(how, obj)  # only its name was wrong
        raise
    warn(how, obj)
    return respond_entry(call, form, scope.resource, entry, status=201)
