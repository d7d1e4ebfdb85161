"""Handle PATCH with an apply patch: server-side apply, which creates the object if it does not
exist."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from apiserver.apis.status import ApiError, bad_request, invalid
from apiserver.handlers.request.body import read_value
from apiserver.handlers.request.call import Call, is_true
from apiserver.handlers.request.fieldvalidation import check_body
from apiserver.handlers.request.negotiation import APPLY_PATCH, Form
from apiserver.handlers.request.objects import check_kind, check_place, metadata_of, object_of, typed
from apiserver.handlers.request.options import context
from apiserver.handlers.response.respond import respond_entry
from apiserver.handlers.scope import Scope
from apiserver.registry.fieldmanager import manager_causes
from apiserver.registry.generic.resource import Resource


async def apply(call: Call, scope: Scope, form: Form) -> web.StreamResponse:
    """Answer 200 with the updated object, or 201 if the object was created."""
    check_manager(call, apply=True)
    how = context(call, "PatchOptions")
    decoded = await read_value(call, APPLY_PATCH, find_duplicates=how.field_validation != "Ignore")
    wanted = object_of(decoded.value)
    _check_kind(scope.resource, wanted)
    wanted = typed(scope.resource, wanted)
    check_place(call, scope.resource, wanted, name=True)
    check_body(how, scope.resource, scope.schema, wanted, decoded.duplicates)
    how.large = decoded.large
    await how.yield_if_large()
    how.has_version = bool(metadata_of(wanted).get("resourceVersion"))
    force = is_true(call.query.get("force"))
    entry, created = await scope.registry.apply(
        how, scope.namespace(call), call.info.name, wanted, force=force, subresource=call.info.subresource
    )
    return respond_entry(call, form, scope.resource, entry, status=201 if created else 200)


def _check_kind(resource: Resource, wanted: dict[str, Any]) -> None:
    """Raise ApiError (400) for another kind.

    The status is always 400, because an applied object is merged as an object of the kind before it
    is validated."""
    try:
        check_kind(resource, wanted)
    except ApiError as error:
        raise bad_request(error.message) from None


def check_manager(call: Call, *, apply: bool) -> None:
    """Raise ApiError (422) for an invalid fieldManager or force parameter."""
    force = is_true(call.query["force"]) if "force" in call.query else None
    causes = manager_causes(call.query.get("fieldManager", ""), apply=apply, force=force)
    if causes:
        raise invalid("meta.k8s.io", "PatchOptions", "", causes)
