"""Read DeleteOptions from the body or, without a body, from the query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apiserver.apis.status import bad_request, cause, invalid
from apiserver.handlers.request.body import read, value_of
from apiserver.handlers.request.call import Call, is_true
from apiserver.handlers.request.negotiation import content_type
from apiserver.handlers.request.objects import object_of
from apiserver.handlers.request.options import context, delete_dry_run, integer
from apiserver.registry.generic.context import Context, DeleteOptions

POLICIES = ("Background", "Foreground", "Orphan")


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """The options of a deletion.

    `orphan` is the deprecated orphanDependents, None if it is not given."""

    context: Context
    options: DeleteOptions
    orphan: bool | None = None


async def read_options(call: Call) -> DeleteRequest:
    """Return the options.

    Raises ApiError: 400 for a malformed body, 415 for another format, 422 for conflicting
    options."""
    body = await read(call)
    how = context(call, "DeleteOptions")
    if not body:
        return _wanted(how, _from_query(call))
    media = content_type(call.http.headers.get("Content-Type", ""))
    value = (await value_of(call, body, media, find_duplicates=False)).value
    given = object_of({} if value is None else value)
    if (given.get("kind") or "DeleteOptions") != "DeleteOptions":
        raise bad_request(f"the body of a DELETE must be DeleteOptions, not {given['kind']}")
    how.dry_run = delete_dry_run(given.get("dryRun")) or how.dry_run
    return _wanted(how, given)


def _from_query(call: Call) -> dict[str, Any]:
    # has no effect on objects without processes, but must be a number
    integer(call.query, "gracePeriodSeconds")
    given: dict[str, Any] = {"propagationPolicy": call.query.get("propagationPolicy")}
    if "orphanDependents" in call.query:
        given["orphanDependents"] = is_true(call.query["orphanDependents"])
    return given


def _wanted(how: Context, given: dict[str, Any]) -> DeleteRequest:
    policy, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    preconditions = {} if given.get("preconditions") is None else given["preconditions"]
    if not isinstance(preconditions, dict) or not (orphan is None or isinstance(orphan, bool)):
        raise bad_request("DeleteOptions.preconditions must be an object, and orphanDependents a boolean")
    if not isinstance(policy, str | None):
        raise bad_request("DeleteOptions.propagationPolicy must be text")
    period = given.get("gracePeriodSeconds")
    if isinstance(period, bool) or not isinstance(period, int | None) or not -(2**63) <= (period or 0) < 2**63:
        raise bad_request("DeleteOptions.gracePeriodSeconds must be an integer")
    if policy is not None and orphan is not None:
        _refuse("propagationPolicy", f'Invalid value: "{policy}": orphanDependents and deletionPropagation cannot be both set')
    if policy is not None and policy not in POLICIES:
        words = ", ".join(f'"{word}"' for word in POLICIES)
        _refuse("propagationPolicy", f'Unsupported value: "{policy}": supported values: {words}', "FieldValueNotSupported")
    uid, version = preconditions.get("uid"), preconditions.get("resourceVersion")
    if not isinstance(uid, str | None) or not isinstance(version, str | None):
        raise bad_request("DeleteOptions.preconditions.uid and resourceVersion must be text")
    if orphan is not None:
        policy = "Orphan" if orphan else "Background"
    known = {"preconditions": preconditions, "propagationPolicy": policy, "dryRun": ["All"] if how.dry_run else None}
    how.options |= {name: value for name, value in known.items() if value}
    return DeleteRequest(how, DeleteOptions(uid=uid, resource_version=version, propagation=policy or ""), orphan)


def _refuse(field: str, message: str, reason: str = "FieldValueInvalid") -> None:
    raise invalid("meta.k8s.io", "DeleteOptions", "", [cause(reason, message, field)])
