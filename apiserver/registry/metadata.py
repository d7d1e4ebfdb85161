"""The rules of object metadata: names, labels, what the system sets and nobody changes. Pure, but for the clock given in.

Source: k8s.io/apimachinery/pkg/api/validation/objectmeta.go and pkg/registry/rest of k8s.io/apiserver.
"""

from __future__ import annotations

import random
import re
import uuid
from typing import TYPE_CHECKING, Any

from apiserver.apis.base import DNS_SUBDOMAIN
from apiserver.apis.status import MODIFIED, cause, conflict
from apiserver.registry.validation import refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apiserver.registry.resource import Resource

__all__ = ["SYSTEM_FIELDS", "for_create", "for_update", "generated_name"]

SYSTEM_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion")
"""Set by the system; a client's values are overwritten."""

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words by chance (k8s.io/apimachinery/pkg/util/rand)
_SUBDOMAIN_HINT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(DNS_SUBDOMAIN[1:-1])
_ANNOTATIONS_LIMIT = 256 * 1024


def generated_name(prefix: str) -> str:
    """generateName's prefix (cut so that the whole fits) and five random letters."""
    return prefix[:58] + "".join(random.choices(_SUFFIX, k=5))


def for_create(resource: Resource, obj: dict[str, Any], namespace: str, now: str) -> dict[str, Any]:
    """The metadata of a new object. `now`: RFC 3339, whole seconds. Raises ApiError Invalid."""
    given = obj.get("metadata")
    metadata = {
        k: v for k, v in (given if isinstance(given, dict) else {}).items() if k not in (*SYSTEM_FIELDS, "selfLink", "managedFields")
    }
    generate = metadata.get("generateName")
    if not metadata.get("name") and isinstance(generate, str) and generate:
        metadata["name"] = generated_name(generate)
    if resource.namespaced:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    name = metadata.get("name")
    if not name or not isinstance(name, str):
        raise refuse(resource, "", [cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")])
    causes = [*_name_causes(name), *_content_causes(metadata)]
    if causes:
        raise refuse(resource, name, causes)
    return {"name": name, **metadata, "uid": str(uuid.uuid4()), "creationTimestamp": now, "generation": 1}


def for_update(resource: Resource, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The metadata of an updated object: what the system set stays, the rest is the client's. Takes and returns metadata.

    Raises ApiError Conflict for another uid or resourceVersion, Invalid for the rest."""
    name = old["name"]
    version = new.get("resourceVersion")
    if not version:
        message = "Invalid value: 0: must be specified for an update"
        raise refuse(resource, name, [cause("FieldValueInvalid", message, "metadata.resourceVersion")])
    if version != old["resourceVersion"]:
        raise conflict(resource.group, resource.plural, name, MODIFIED)
    if new.get("uid") not in (None, "", old["uid"]):
        why = f"Precondition failed: UID in precondition: {new['uid']}, UID in object meta: {old['uid']}"
        raise conflict(resource.group, resource.plural, name, why)
    causes = [
        cause("FieldValueInvalid", f'Invalid value: "{new[field]}": field is immutable', f"metadata.{field}")
        for field in ("name", "namespace")
        if new.get(field) not in (None, "", old.get(field))
    ]
    result = {k: v for k, v in new.items() if k not in (*SYSTEM_FIELDS, "selfLink", "managedFields")}
    result.update({k: old[k] for k in (*SYSTEM_FIELDS, "name", "namespace", "generateName") if k in old})
    if "deletionTimestamp" in old:
        added = sorted(set(result.get("finalizers") or []) - set(old.get("finalizers") or []))
        if added:
            listed = ", ".join(f'"{item}"' for item in added)
            message = f"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
            causes.append(cause("FieldValueForbidden", message, "metadata.finalizers"))
    causes += _content_causes(result)
    if causes:
        raise refuse(resource, name, causes)
    return result


def _name_causes(name: str) -> Iterable[dict[str, str]]:
    if len(name) > 253:
        yield cause("FieldValueInvalid", f'Invalid value: "{name}": must be no more than 253 bytes', "metadata.name")
    if not _SUBDOMAIN.fullmatch(name):
        yield cause("FieldValueInvalid", f'Invalid value: "{name}": {_SUBDOMAIN_HINT}', "metadata.name")


def qualified(key: str) -> bool:
    """Whether `key` is a qualified name: an optional DNS subdomain and a slash, and a name of at most 63 characters."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)):
        return False
    return len(name) <= 63 and _NAME_PART.fullmatch(name) is not None


def _content_causes(metadata: dict[str, Any]) -> Iterable[dict[str, str]]:
    """Types are the model's business; what has a wrong type is left to it."""
    labels, annotations, finalizers = (metadata.get(field) for field in ("labels", "annotations", "finalizers"))
    if isinstance(labels, dict):
        for key, value in labels.items():
            if not qualified(key):
                yield cause(
                    "FieldValueInvalid",
                    f"Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.'",
                    "metadata.labels",
                )
            if isinstance(value, str) and not (len(value) <= 63 and _LABEL_VALUE.fullmatch(value)):
                yield cause(
                    "FieldValueInvalid",
                    f'Invalid value: "{value}": a valid label must be an empty string or consist of alphanumeric characters, '
                    "'-', '_' or '.', and must start and end with an alphanumeric character, 63 of them at most",
                    "metadata.labels",
                )
    if isinstance(annotations, dict):
        for key in annotations:
            if not qualified(key.lower()):
                yield cause(
                    "FieldValueInvalid",
                    f"Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.'",
                    "metadata.annotations",
                )
        size = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items() if isinstance(v, str))
        if size > _ANNOTATIONS_LIMIT:
            yield cause("FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes", "metadata.annotations")
    if isinstance(finalizers, list):
        for item in finalizers:
            if isinstance(item, str) and not qualified(item):
                yield cause("FieldValueInvalid", f'Invalid value: "{item}": name is not a qualified name', "metadata.finalizers")
