"""The object in a write's body: decoded, and checked against the kind and the URL that it is sent to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.status import bad_request
from apiserver.endpoints.body import Decoded, decode, read
from apiserver.endpoints.negotiation import JSON, YAML, content_type

if TYPE_CHECKING:
    from apiserver.endpoints.call import Call
    from apiserver.registry.context import Context
    from apiserver.registry.resource import Resource

__all__ = ["check_kind", "check_place", "metadata_of", "object_of", "read_object"]

PROTOBUF = "application/vnd.kubernetes.protobuf"


async def read_object(call: Call, context: Context, resource: Resource | None = None) -> Decoded:
    """The body, which must be an object; in protobuf, if the kind is read so. Raises ApiError."""
    protobuf = resource.protobuf if resource is not None else None
    media = content_type(call.http.headers.get("Content-Type", ""), (JSON, YAML, PROTOBUF) if protobuf else (JSON, YAML))
    if protobuf is not None and media == PROTOBUF:
        return Decoded(protobuf(await read(call)))
    decoded = decode(await read(call), media, find_duplicates=context.field_validation != "Ignore")
    object_of(decoded.value)
    return decoded


def object_of(value: Any) -> dict[str, Any]:
    """The value, if it is an object. Raises ApiError (400)."""
    if not isinstance(value, dict):
        raise bad_request("the body must be an object with apiVersion, kind and metadata")
    return value


def check_kind(resource: Resource, obj: dict[str, Any]) -> None:
    """Raises ApiError (400) unless the object says to be of the kind."""
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
        raise bad_request(
            f'{obj["kind"]} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"the kind in the data does not match the kind of the resource"
        )


def metadata_of(obj: dict[str, Any]) -> dict[str, Any]:
    """The object's metadata; empty if it has none. Raises ApiError (400) for what is no metadata."""
    found = obj.get("metadata")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_request("metadata must be an object")
    return found


def check_place(call: Call, resource: Resource, obj: dict[str, Any], *, name: bool) -> None:
    """Raises ApiError (400) unless the object's namespace, and for `name` its name, are those of the URL, or the namespace is left out."""
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
