"""Handle DELETE of one object.

The answer is a Status if the object is gone, or the object if it waits for its finalizers."""

from __future__ import annotations

from aiohttp import web

from apiserver.handlers.request.call import Call
from apiserver.handlers.request.deleteoptions import read_options
from apiserver.handlers.request.negotiation import negotiate
from apiserver.handlers.response.respond import respond, respond_entry
from apiserver.handlers.scope import Scope


async def delete(call: Call, scope: Scope) -> web.StreamResponse:
    """Answer 200, or 202 as kube-apiserver does.

    202 means that the object still exists and the client asked not to orphan dependents."""
    form = negotiate(call)
    wanted = await read_options(call)
    entry, gone = await scope.registry.delete(wanted.context, scope.namespace(call), call.info.name, wanted.options)
    if not gone:
        return respond_entry(call, form, scope.resource, entry, status=202 if wanted.orphan is False else 200)
    resource = scope.resource
    details = {"name": entry.name, "kind": resource.plural, "uid": entry.object()["metadata"]["uid"]}
    if resource.group:
        details["group"] = resource.group
    return respond(call, form, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
