"""PUT: an object, or its status, replaced. The client must name the resourceVersion that it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.status import ApiError, cause, invalid
from apiserver.endpoints.fieldvalidation import check_body
from apiserver.endpoints.negotiation import negotiate
from apiserver.endpoints.objects import check_kind, check_place, metadata_of, read_object
from apiserver.endpoints.options import context
from apiserver.endpoints.respond import respond_entry

if TYPE_CHECKING:
    from aiohttp import web

    from apiserver.endpoints.call import Call
    from apiserver.endpoints.scope import Scope
    from apiserver.registry.resource import Resource

__all__ = ["update"]


async def update(call: Call, scope: Scope) -> web.StreamResponse:
    """200 with the object as it is now."""
    form = negotiate(call)
    how = context(call, "UpdateOptions", informed=True)
    decoded = await read_object(call, how)
    obj: dict[str, Any] = decoded.value
    check_kind(scope.resource, obj)
    check_place(call, scope.resource, obj, name=True)
    check_body(how, scope.resource, scope.schema, obj, decoded.duplicates)

    def change(_current: dict[str, Any]) -> dict[str, Any]:
        if not metadata_of(obj).get("resourceVersion"):  # only now, for an object that is not there is 404
            raise _unconditional(scope.resource, call.info.name)
        return obj

    entry = await scope.registry.update(how, call.info.namespace, call.info.name, change, subresource=call.info.subresource)
    return respond_entry(call, form, scope.resource, entry)


def _unconditional(resource: Resource, name: str) -> ApiError:
    message = "Invalid value: 0: must be specified for an update"
    return invalid(resource.group, resource.kind, name, [cause("FieldValueInvalid", message, "metadata.resourceVersion")])
