"""Apply the changes of a mutating webhook to an object, and limit the changes of all mutators.

kube-apiserver lets webhooks and policies change anything, and then restores the fields that a
client may not write. So does this module.
"""

from __future__ import annotations

from typing import Any

from apiserver.apis.status import ApiError, internal
from apiserver.registry.generic import metadata
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.patch import json_patch, operations_of
from apiserver.registry.generic.sharing import sharing
from apiserver.registry.generic.validation import normalize

_SYSTEM = (*metadata.SYSTEM_FIELDS, "managedFields")


def patched(webhook: str, obj: dict[str, Any], patch: Any) -> dict[str, Any]:
    """Return `obj` with the webhook's JSON patch applied. Changes `obj`.

    Raises ApiError (500), because the error is the webhook's."""
    try:
        result = json_patch(obj, operations_of(patch))
    except ApiError as error:
        raise internal(f'the patch of admission webhook "{webhook}" cannot be applied: {error.message}') from None
    if not isinstance(result, dict) or not isinstance(result.get("metadata", {}), dict):
        raise internal(f'the patch of admission webhook "{webhook}" leaves no object')
    return result


def defaulted(before: Attributes, new: dict[str, Any]) -> dict[str, Any]:
    """Return the object of a write after one mutation, with defaults for missing fields.

    An invalid object is returned as it is, because a later mutation may correct it."""
    if before.new is None or before.subresource not in ("", "status"):
        return new
    try:
        return normalize(before.resource, sharing(before.new, new), before.name, before.new)
    except ApiError:
        return new


def permitted(before: Attributes, after: dict[str, Any]) -> dict[str, Any]:
    """Return the mutated object in its permitted form, normalized.

    The system's metadata, and the part that this request does not write, are as before. `before` is
    the write before mutation. Raises ApiError: errors of a mutator are reported like those of the
    client."""
    new, resource = before.new, before.resource
    assert new is not None, "there is nothing to mutate in a deletion"
    if before.subresource not in ("", "status"):
        return after  # an action's body, which the action validates
    was, given = new["metadata"], after.get("metadata") or {}
    for field in ("name", "namespace"):
        if given.get(field) != was.get(field):
            raise internal(f"an admission webhook or policy changed metadata.{field}, which none may")
    for field in ("apiVersion", "kind"):
        if after.get(field) != new.get(field):
            raise internal(f"an admission webhook or policy changed {field}, which none may")
    theirs = {key: value for key, value in given.items() if key not in _SYSTEM}
    if before.old is None:
        checked = metadata.for_create(resource, {**after, "metadata": theirs}, before.namespace, "")
    else:
        old = before.old["metadata"]
        checked = metadata.for_update(resource, old, {**theirs, "resourceVersion": old["resourceVersion"]})
    kept = {key: value for key, value in checked.items() if key not in _SYSTEM}
    system = {field: was[field] for field in _SYSTEM if field in was}
    result = {**after, "metadata": {**kept, **system}}
    result = _own_part(new, result, before.subresource)
    if before.old is None:
        return normalize(resource, result, before.name)
    return normalize(resource, sharing(before.old, result), before.name, before.old)


def _own_part(new: dict[str, Any], result: dict[str, Any], subresource: str) -> dict[str, Any]:
    """Restore status, or for the status subresource everything except status and metadata."""
    if subresource == "status":
        return {**new, "metadata": result["metadata"], **({"status": result["status"]} if "status" in result else {})}
    result.pop("status", None)
    return {**result, "status": new["status"]} if "status" in new else result
