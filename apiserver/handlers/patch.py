"""Handle PATCH of an object or its status: a merge patch or a JSON patch, or server-side apply.

Server-side apply has its own module. A patch that names no resourceVersion is applied again if
another write comes between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from apiserver.apis.status import ApiError, bad_request, cause, invalid
from apiserver.handlers.apply import apply, check_manager
from apiserver.handlers.request.body import read_value
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.fieldvalidation import check_patched
from apiserver.handlers.request.negotiation import APPLY_PATCH, JSON_PATCH, PATCHES, STRATEGIC_PATCH, content_type, negotiate
from apiserver.handlers.request.objects import check_kind, check_place, check_uid, metadata_of, object_of, typed_patched, warn
from apiserver.handlers.request.options import context
from apiserver.handlers.response.respond import respond_entry
from apiserver.handlers.scope import Scope
from apiserver.registry.generic.patch import json_patch, merge_patch, operations_of
from apiserver.registry.generic.resource import Resource


async def patch(call: Call, scope: Scope) -> web.StreamResponse:
    """Answer 200 with the updated object."""
    form = negotiate(call)
    media = content_type(
        call.http.headers.get("Content-Type") or "none", (*PATCHES, STRATEGIC_PATCH) if scope.resource.strategic else PATCHES
    )
    if media == APPLY_PATCH:
        return await apply(call, scope, form)
    check_manager(call, apply=False)
    how = context(call, "PatchOptions")
    decoded = await read_value(call, media, find_duplicates=how.field_validation != "Ignore")
    how.large = decoded.large
    patched, how.has_version = _prepare(media, decoded.value, scope.resource.strategic or merge_patch)
    warned = len(how.warnings)

    last: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    def change(current: dict[str, Any]) -> dict[str, Any]:
        nonlocal last
        # remove the warnings of a previous attempt that another write overtook
        del how.warnings[warned:]
        wanted = typed_patched(_of_kind(scope.resource, patched(current)), current)
        check_patched(how, scope.schema, wanted, decoded.duplicates, current)
        check_place(call, scope.resource, wanted, name=True)
        check_uid(scope.resource, current, wanted)
        last = wanted, current
        # it has the resourceVersion of `current`, unless the patch names another one, which is a
        # conflict
        return wanted

    entry = await scope.registry.update(how, scope.namespace(call), call.info.name, change, subresource=call.info.subresource)
    warn(how, *last)
    return respond_entry(call, form, scope.resource, entry)


def _of_kind(resource: Resource, patched: Any) -> dict[str, Any]:
    """Return the patched object if it is still of the kind.

    Raises ApiError (422), because the request was well-formed but its result is not."""
    try:
        wanted = object_of(patched)
        if isinstance(wanted.get("kind"), str) and wanted.get("apiVersion") not in (None, "", resource.api_version):
            why = f'Invalid value: "{wanted["apiVersion"]}": must be {resource.api_version}'
            name = str(metadata_of(wanted).get("name") or "")
            raise invalid(resource.group, wanted["kind"], name, [cause("FieldValueInvalid", why, "apiVersion")])
        check_kind(resource, wanted)
    except ApiError as error:
        if error.code == 422:
            raise
        raise invalid("", "", "", [cause("FieldValueInvalid", f"Invalid value: {error.message}", "patch")]) from None
    return wanted


def _prepare(media: str, value: Any, strategic: Callable[[Any, Any], Any]) -> tuple[Callable[[dict[str, Any]], Any], bool]:
    """Return the function that applies the patch, and whether the patch names a resourceVersion."""
    if media == JSON_PATCH:
        operations = operations_of(value)
        named = any(op["path"] == "/metadata/resourceVersion" and op.get("value") for op in operations)
        return lambda current: json_patch(orjson.loads(orjson.dumps(current)), operations), named
    if not isinstance(value, dict):
        raise bad_request('a merge patch is an object, such as {"spec": {"online": true}}')
    merge = strategic if media == STRATEGIC_PATCH else merge_patch
    return lambda current: merge(current, value), bool(metadata_of(value).get("resourceVersion"))
