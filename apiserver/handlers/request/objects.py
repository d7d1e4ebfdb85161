"""Decode the object in a write's body, and check it against the kind and the URL."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

from apiserver.apis.status import bad_request, cause, invalid
from apiserver.handlers.request.body import Decoded, note, read, read_value
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.negotiation import JSON, YAML, content_type
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.metadata import type_problem, well_formed, without_nulls
from apiserver.registry.generic.resource import Resource

STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")
MOST = 50
"""The number of warnings of one sort. More would only make the answer longer."""

PROTOBUF = "application/vnd.kubernetes.protobuf"


async def read_object(call: Call, context: Context, resource: Resource | None = None) -> Decoded:
    """Return the body, which must be an object. Raises ApiError.

    Protobuf is accepted if the kind can be read from it."""
    protobuf = resource.protobuf if resource is not None else None
    media = content_type(call.http.headers.get("Content-Type", ""), (JSON, YAML, PROTOBUF) if protobuf else (JSON, YAML))
    if protobuf is not None and media == PROTOBUF:
        decoded = Decoded(protobuf(await read(call)))
        note(call, decoded.value)
        return decoded
    decoded = await read_value(call, media, find_duplicates=context.field_validation != "Ignore")
    object_of(decoded.value)
    return decoded


def object_of(value: Any) -> dict[str, Any]:
    """Return the value if it is an object. Raises ApiError (400)."""
    if not isinstance(value, dict):
        raise bad_request("the body must be an object with apiVersion, kind and metadata")
    return value


def check_kind(resource: Resource, obj: dict[str, Any]) -> None:
    """Check that the object says that it is of the kind.

    Raises ApiError: 400, or 422 for another kind of the same version."""
    for field, shown in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if not isinstance(obj.get(field), str) or not obj[field]:
            raise bad_request(
                f"Object '{shown}' is missing: the body must name the kind {resource.kind} and apiVersion {resource.api_version}"
            )
    if obj["apiVersion"] != resource.api_version:
        raise bad_request(
            f"the API version in the data ({obj['apiVersion']}) does not match the expected API version ({resource.api_version})"
        )
    if obj["kind"] != resource.kind:
        why = cause("FieldValueInvalid", f'Invalid value: "{obj["kind"]}": must be {resource.kind}', "kind")
        name = metadata_of(obj).get("name")
        raise invalid(resource.group, obj["kind"], name if isinstance(name, str) else "", [why])


def metadata_of(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the object's metadata, {} if it has none. Raises ApiError (400) for another type."""
    found = obj.get("metadata")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_request("metadata must be an object")
    return found


def typed(resource: Resource, obj: dict[str, Any]) -> dict[str, Any]:
    """Return a client's object with nulls in its metadata read as Go reads them.

    Raises ApiError (400) for a wrong type."""
    given = metadata_of(obj)
    metadata = without_nulls(given)
    well_formed(resource, metadata)
    return obj if metadata is given or not given else {**obj, "metadata": metadata}


def typed_patched(obj: dict[str, Any], current: dict[str, Any]) -> dict[str, Any]:
    """Return a patched object with nulls in its metadata read as Go reads them.

    `current` is the object before the patch, whose types are right. Raises ApiError (422) for a
    wrong type, because the request was well-formed."""
    given, before = metadata_of(obj), current["metadata"]
    changed = without_nulls({field: value for field, value in given.items() if before.get(field) is not value})
    if why := type_problem(changed):
        raise invalid("", "", "", [cause("FieldValueInvalid", f"Invalid value: {why}", "patch")])
    return {**obj, "metadata": {**given, **changed}}


def check_uid(resource: Resource, current: dict[str, Any], patched: dict[str, Any]) -> None:
    """Raise ApiError (422) for a patch that changes the object's uid.

    In a PUT, another uid means another object, which is a conflict."""
    uid = metadata_of(patched).get("uid")
    if uid not in (None, "", current["metadata"]["uid"]):
        why = cause("FieldValueInvalid", f'Invalid value: "{uid}": field is immutable', "metadata.uid")
        raise invalid(resource.group, resource.kind, current["metadata"]["name"], [why])


def warn(context: Context, obj: dict[str, Any], current: dict[str, Any] | None = None) -> None:
    """Add warnings about the metadata, worded as kube-apiserver does.

    `current` is the object before the write."""
    meta = metadata_of(obj)
    before = (current or {}).get("metadata", {}).get("finalizers") or []
    finalizers, owners = meta.get("finalizers"), meta.get("ownerReferences")
    known = {*STANDARD_FINALIZERS, *before}
    names = finalizers if isinstance(finalizers, list) else ()
    plain = (name for name in names if isinstance(name, str) and "/" not in name and name not in known)
    for name in islice(plain, MOST):
        why = "prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers"
        context.warnings.append(f'metadata.finalizers: "{name}": {why}')
    uids = [owner.get("uid") for owner in owners if isinstance(owner, dict)] if isinstance(owners, list) else []
    twice = [uid for uid, count in Counter(map(str, uids)).items() if count > 1][:MOST]
    if twice:
        context.warnings.append(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such "
            f"requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {', '.join(twice)}"
        )


def check_place(call: Call, resource: Resource, obj: dict[str, Any], *, name: bool) -> None:
    """Raise ApiError (400) unless the object's namespace is that of the URL, or missing.

    With `name`, the object's name must be that of the URL too."""
    meta = metadata_of(obj)
    namespace = meta.get("namespace") or ""
    if resource.namespaced and namespace and namespace != call.info.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if not name:
        return
    given = meta.get("name")
    if not given:
        raise bad_request("name must be provided")
    if given != call.info.name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({call.info.name})")
