"""Apply the rules of object metadata: names, labels, and the fields that only the system sets.

Source: k8s.io/apimachinery/pkg/api/validation/objectmeta.go and pkg/registry/rest of
k8s.io/apiserver.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import orjson
from pydantic import ValidationError

from apiserver.apis.base import DNS_SUBDOMAIN
from apiserver.apis.bounded import bounded_lru_cache
from apiserver.apis.meta import ObjectMeta
from apiserver.apis.status import MODIFIED, bad_request, cause, conflict, invalid
from apiserver.apis.uid import new_uid
from apiserver.apis.wording import TYPES, sentence
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.selectors import NAME, VALUE
from apiserver.registry.generic.sharing import changed, sharing
from apiserver.registry.generic.validation import refuse

SYSTEM_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion")
"""The fields that the system sets. A client's values are overwritten."""

_NOT_FROM_CLIENTS = frozenset({*SYSTEM_FIELDS, "selfLink", "managedFields"})
_KEPT = (*SYSTEM_FIELDS, "name", "namespace", "generateName")
"""The fields that an update keeps from the stored object."""

_TEXT = frozenset({str})
# no vowels, so that no words arise (k8s.io/apimachinery/pkg/util/rand)
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_SUBDOMAIN_HINT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})")
_SUBDOMAIN = re.compile(DNS_SUBDOMAIN[1:-1])
_ANNOTATIONS_LIMIT = 256 * 1024
LIMITS = {"labels": 512, "annotations": 1024, "finalizers": 64, "ownerReferences": 256}
"""The largest number of each that an object may have.

The limits exceed any client's need, and keep all work on them short."""


def now() -> str:
    """Return the time in the format of metadata: RFC 3339, UTC, whole seconds."""
    return _stamp(int(time.time()))


@lru_cache(maxsize=1)
def _stamp(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def generated_name(prefix: str) -> str:
    """Return the prefix of generateName, cut to fit, with five random characters."""
    return prefix[:58] + "".join(random.choices(_SUFFIX, k=5))


def for_create(resource: Resource, obj: dict[str, Any], namespace: str, now: str) -> dict[str, Any]:
    """Return the metadata of a new object. `now` is RFC 3339 in whole seconds.

    Raises ApiError: Invalid, or 400 for fields of a wrong type."""
    given = obj.get("metadata")
    given = given if isinstance(given, dict) else {}
    well_formed(resource, given)
    if given.get("resourceVersion") not in (None, "", "0"):
        raise bad_request("resourceVersion should not be set on objects to be created: leave it out")
    metadata = without_empty({k: v for k, v in given.items() if k not in _NOT_FROM_CLIENTS})
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
    causes = [
        *_name_causes(name, "metadata.name"),
        *(_number_causes({}, metadata) or _content_causes(metadata)),
        *_long_owners({}, metadata),
    ]
    if isinstance(generate, str) and generate:
        causes += _name_causes(generate.rstrip("-."), "metadata.generateName")
    if causes:
        raise refuse(resource, name[:1024], causes)
    return {"name": name, **metadata, "uid": new_uid(), "creationTimestamp": now, "generation": 1}


def for_update(resource: Resource, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of an updated object: system fields stay, the client sets the rest.

    Takes and returns metadata. Parts that do not differ are taken from `old`, and are not validated
    again. Raises ApiError: Conflict for another uid or resourceVersion, otherwise Invalid."""
    name = old["name"]
    new = sharing(old, new)
    well_formed(resource, changed(old, new))
    version = new.get("resourceVersion")
    if version in (None, "", "0"):
        message = "Invalid value: 0: must be specified for an update"
        # names the resource, not the kind: kube-apiserver detects this before it knows the object
        raise invalid(resource.group, resource.plural, name, [cause("FieldValueInvalid", message, "metadata.resourceVersion")])
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
    if new.get("deletionTimestamp") not in (None, old.get("deletionTimestamp")):
        message = f'Invalid value: "{new["deletionTimestamp"]}": field is immutable'
        causes.append(cause("FieldValueInvalid", message, "metadata.deletionTimestamp"))
    result = without_empty({k: v for k, v in new.items() if k not in _NOT_FROM_CLIENTS})
    result.update({k: old[k] for k in _KEPT if k in old})
    if "deletionTimestamp" in old:
        added = sorted(set(result.get("finalizers") or []) - set(old.get("finalizers") or []))
        if added:
            listed = ", ".join(f'"{item}"' for item in added)
            message = f"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
            causes.append(cause("FieldValueForbidden", message, "metadata.finalizers"))
    causes += _number_causes(old, changed(old, result)) or _content_causes(changed(old, result))
    causes += _long_owners(old, changed(old, result))
    if causes:
        raise refuse(resource, name, causes)
    return result


def well_formed(resource: Resource, metadata: dict[str, Any]) -> None:
    """Raise ApiError (400) for metadata with fields of a wrong type.

    Like kube-apiserver, this server decodes metadata before it validates anything."""
    if why := type_problem(metadata):
        raise bad_request(f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {why}')


def type_problem(metadata: dict[str, Any]) -> str | None:
    """Return a message about the first field of a wrong type, or None.

    A missing field is not a type error."""
    doubtful = {k: _first(k, v) for k, v in metadata.items() if k != "managedFields" and not _evident(k, v)}
    if doubtful:
        try:
            ObjectMeta.decode(doubtful)
        except ValidationError as error:
            # A missing or empty field of an owner is reported by the validation later.
            wrong = (
                detail for detail in error.errors(include_url=False) if detail["type"] in TYPES or detail["loc"][0] != "ownerReferences"
            )
            if (first := next(wrong, None)) is not None:
                return sentence({**first, "loc": ("metadata", *first["loc"])})
    return managed_fields_problem(metadata.get("managedFields"))


def _first(field: str, value: object) -> object:
    """Return the first items of a list, as many as LIMITS allow.

    Each error about an item costs the model 10 µs, and a longer list is refused later anyway."""
    return value[: LIMITS[field]] if field in LIMITS and isinstance(value, list) else value


def managed_fields_problem(value: object) -> str | None:
    """Return the type error of metadata.managedFields, or None.

    The field manager interprets the content."""
    if value is None:
        return None
    if not isinstance(value, list):
        return "metadata.managedFields: must be a list"
    for index, entry in enumerate(value):
        path = f"metadata.managedFields[{index}]"
        if not isinstance(entry, dict):
            return f"{path}: must be an object"
        for field in ("manager", "operation", "apiVersion", "fieldsType", "subresource", "time"):
            if not isinstance(entry.get(field), str | None):
                return f"{path}.{field}: must be of type string"
        if entry.get("time") and not _TIME.fullmatch(entry["time"]):
            return f"{path}.time: must be a time, such as 2026-01-31T12:00:00Z"
    return None


def without_nulls(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata as Go decodes it: null in a list or map is an empty string or object."""
    found = metadata
    for field, empty in (("labels", ""), ("annotations", ""), ("finalizers", ""), ("ownerReferences", {}), ("managedFields", {})):
        value = metadata.get(field)
        if isinstance(value, dict) and None in value.values():
            found = {**found, field: {key: empty if item is None else item for key, item in value.items()}}
        elif isinstance(value, list) and None in value:
            found = {**found, field: [empty if item is None else item for item in value]}
    return found


def _evident(field: str, value: object) -> bool:
    """Return whether a field of metadata obviously has the right type.

    That holds for most writes. Asking the model would take longer."""
    if type(value) is str:
        return field in ("name", "generateName", "namespace", "uid", "resourceVersion")
    if type(value) is dict:
        return field in ("labels", "annotations") and {*map(type, value.values())} <= _TEXT
    return type(value) is list and field == "finalizers" and {*map(type, value)} <= _TEXT


def without_empty(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata without empty maps and lists, and with one reference to each owner.

    Empty maps and lists are equivalent to missing ones."""
    found = {k: v for k, v in metadata.items() if v or k not in ("labels", "annotations", "finalizers", "ownerReferences")}
    owners = found.get("ownerReferences")
    if isinstance(owners, list) and len(owners) > 1:
        first: dict[bytes, Any] = {}
        for owner in owners:
            first.setdefault(orjson.dumps(owner, option=orjson.OPT_SORT_KEYS), owner)
        found["ownerReferences"] = list(first.values())
    return found


def _name_causes(name: str, field: str) -> Iterable[dict[str, str]]:
    if len(name) > 253:
        yield cause("FieldValueInvalid", f'Invalid value: "{name[:1024]}": must be no more than 253 bytes', field)
    if len(name) > 1024:
        return
    if not _SUBDOMAIN.fullmatch(name):
        yield cause("FieldValueInvalid", f'Invalid value: "{name}": {_SUBDOMAIN_HINT}', field)


QUALIFIED = 253 + 1 + 63
"""The length of the longest qualified name in characters."""


@bounded_lru_cache(4096, QUALIFIED)
def qualified(key: str) -> bool:
    """Return whether `key` is a qualified name.

    That is an optional DNS subdomain with a slash, and a name of at most 63 characters."""
    if len(key) > QUALIFIED:
        return False
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _SUBDOMAIN.fullmatch(prefix)):
        return False
    return len(name) <= 63 and NAME.fullmatch(name) is not None


def check_numbers(resource: Resource, name: str, old: dict[str, Any], wanted: object) -> None:
    """Refuse applied metadata that has more items than LIMITS allow. Raises ApiError Invalid.

    This happens before its items are compared with the stored ones."""
    if isinstance(wanted, dict) and (causes := _number_causes(old, wanted)):
        raise refuse(resource, name, causes)


def _number_causes(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, str]]:
    """Return causes for fields with more items than LIMITS allow.

    A stored field with more items may shrink."""
    causes = []
    for field, limit in LIMITS.items():
        found, before = new.get(field), old.get(field)
        if isinstance(found, dict | list) and len(found) > max(limit, len(before) if isinstance(before, dict | list) else 0):
            causes.append(cause("FieldValueTooMany", f"Too many: {len(found)}: must have at most {limit} items", f"metadata.{field}"))
    return causes


def is_label(key: str, value: str) -> bool:
    """Return whether the key and the value can be a label."""
    return qualified(key) and _is_label_value(value)


def _is_label_value(value: str) -> bool:
    return len(value) <= 63 and VALUE.fullmatch(value) is not None


def _content_causes(metadata: dict[str, Any]) -> Iterable[dict[str, str]]:
    """Yield the causes for invalid content. The model reports wrong types, which are skipped
    here."""
    labels, annotations, finalizers = (metadata.get(field) for field in ("labels", "annotations", "finalizers"))
    if isinstance(labels, dict):
        for key, value in labels.items():
            if not qualified(key):
                yield cause(
                    "FieldValueInvalid",
                    f"Invalid value: \"{key}\": name part must consist of alphanumeric characters, '-', '_' or '.'",
                    "metadata.labels",
                )
            if isinstance(value, str) and not _is_label_value(value):
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
        texts = [text for text in (*annotations, *annotations.values()) if isinstance(text, str)]
        # A character has at most four bytes, so encoding is rarely needed.
        if 4 * sum(map(len, texts)) > _ANNOTATIONS_LIMIT and sum(len(text.encode()) for text in texts) > _ANNOTATIONS_LIMIT:
            yield cause("FieldValueTooLong", f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes", "metadata.annotations")
    if isinstance(finalizers, list):
        for item in finalizers:
            if isinstance(item, str) and not qualified(item):
                yield cause("FieldValueInvalid", f'Invalid value: "{item}": name is not a qualified name', "metadata.finalizers")
        if "orphan" in finalizers and "foregroundDeletion" in finalizers:
            message = f"Invalid value: {json.dumps(finalizers)}: finalizer orphan and foregroundDeletion cannot be both set"
            yield cause("FieldValueInvalid", message, "metadata.finalizers")
    if isinstance(metadata.get("ownerReferences"), list):
        yield from _owner_causes([owner for owner in metadata["ownerReferences"] if isinstance(owner, dict)])


def template_causes(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, str]]:
    """Return causes for the labels and annotations of a template that differ from the stored
    ones."""
    given = changed(old, new)
    return [*(_number_causes(old, given) or _content_causes(given))]


def _long_owners(old: dict[str, Any], new: dict[str, Any]) -> Iterable[dict[str, str]]:
    """Yield a cause for each text of an owner that is too long, unless the owner is stored
    already."""
    owners = [owner for owner in new.get("ownerReferences") or () if isinstance(owner, dict)]
    stored = {orjson.dumps(owner, option=orjson.OPT_SORT_KEYS) for owner in old.get("ownerReferences") or ()} if owners else set()
    for owner in owners:
        texts = ((field, owner.get(field)) for field in ("apiVersion", "kind", "name", "uid"))
        long = [field for field, text in texts if isinstance(text, str) and len(text) > QUALIFIED]
        if long and orjson.dumps(owner, option=orjson.OPT_SORT_KEYS) not in stored:
            for field in long:
                yield cause("FieldValueTooLong", f"Too long: may not be more than {QUALIFIED} bytes", f"metadata.ownerReferences.{field}")


def _owner_causes(owners: list[dict[str, Any]]) -> Iterable[dict[str, str]]:
    for owner in owners:
        version = owner.get("apiVersion") or ""
        for field in ("apiVersion", "kind", "name", "uid"):
            if owner.get(field) in (None, ""):
                why = "version must not be empty" if field == "apiVersion" else "must not be empty"
                yield cause("FieldValueInvalid", f'Invalid value: "": {why}', f"metadata.ownerReferences.{field}")
        if isinstance(version, str) and (version.count("/") > 1 or version.endswith("/")):
            message = f'Invalid value: "{version}": version must not be empty: write group/version, or v1 for the core group'
            yield cause("FieldValueInvalid", message, "metadata.ownerReferences.apiVersion")
        if owner.get("kind") == "Event" and version in ("v1", "events.k8s.io/v1"):
            yield cause("FieldValueInvalid", "Invalid value: an Event is disallowed from being an owner", "metadata.ownerReferences")
    controllers = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller") is True]
    if len(controllers) > 1:
        why = f'Only one reference can have Controller set to true. Found "true" in references for {" and ".join(controllers)}'
        yield cause("FieldValueInvalid", f"Invalid value: {why}", "metadata.ownerReferences")


def mark_deleted(obj: dict[str, Any], propagation: str) -> dict[str, Any] | None:
    """Return the object marked as deleted, or None if it has no finalizers and can be removed at
    once."""
    meta = obj["metadata"]
    finalizers = [f for f in meta.get("finalizers") or [] if not propagation or f not in ("orphan", "foregroundDeletion")]
    if propagation in ("Foreground", "Orphan"):
        finalizers.append("foregroundDeletion" if propagation == "Foreground" else "orphan")
    if not finalizers:
        return None
    marked = {**meta, "finalizers": finalizers}
    if "deletionTimestamp" not in meta:
        marked |= deletion_mark(meta)
    return {**obj, "metadata": marked}


def deletion_mark(meta: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata fields that mark the beginning of a deletion."""
    return {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0, "generation": meta.get("generation", 0) + 1}
