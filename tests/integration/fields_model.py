"""Model a server with our field management, for objects of the rich kind."""

from __future__ import annotations

import copy
from typing import Any

from apiserver.registry.fieldmanager import FieldSet, apply, compile_schema, keep_times, track_update
from tests.integration.fields_crd import API_VERSION, SCHEMA

TYPE = compile_schema(SCHEMA)
RESET = {"": FieldSet.of(("f:status",)), "status": FieldSet.of(("f:metadata",), ("f:spec",))}
SYSTEM = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")

Object = dict[str, Any]


def created(body: Object, manager: str, now: str) -> Object:
    """Return what a create stores."""
    new = defaulted(body)
    fields = track_update(TYPE, None, new, manager=manager, api_version=API_VERSION, now=now, reset=RESET[""])
    return without_status(with_fields(new, fields))


def updated(live: Object, body: Object, manager: str, now: str, subresource: str) -> Object:
    """Return what a PUT stores."""
    return _replaced(live, defaulted(body), manager, now, subresource)


def merge_patched(live: Object, patch: Object, manager: str, now: str, subresource: str) -> Object:
    """Return what a merge patch stores."""
    return _replaced(live, defaulted(_merged(live, patch)), manager, now, subresource)


def _replaced(live: Object, new: Object, manager: str, now: str, subresource: str) -> Object:
    fields = track_update(
        TYPE, live, new, manager=manager, api_version=API_VERSION, now=now, subresource=subresource, reset=RESET[subresource]
    )
    return _prepared(live, with_fields(new, fields), subresource)


def applied(live: Object | None, body: Object, manager: str, now: str, subresource: str, *, force: bool) -> Object:
    """Return what an apply stores. Raises what `apply` raises."""
    new = apply(
        TYPE,
        live,
        body,
        manager=manager,
        api_version=API_VERSION,
        now=now,
        force=force,
        subresource=subresource,
        reset=RESET[subresource],
    )
    new = defaulted(new)
    return without_status(new) if live is None else _prepared(live, new, subresource)


def _prepared(live: Object, new: Object, subresource: str) -> Object:
    """Apply the strategy: restore the fields that this subresource cannot change, and those that
    the system sets."""
    if subresource:
        fields = new["metadata"].get("managedFields", [])
        new = with_fields({**without_status(live), **({"status": new["status"]} if "status" in new else {})}, fields)
    else:
        new = {**without_status(new), **({"status": live["status"]} if "status" in live else {})}
    metadata = {name: value for name, value in new["metadata"].items() if name == "managedFields" or name not in SYSTEM}
    system = {name: live["metadata"][name] for name in SYSTEM if name in live["metadata"] and name != "managedFields"}
    return keep_times(live, {**new, "metadata": {**metadata, **system}})


def without_status(obj: Object) -> Object:
    """Return the object as a write through its main resource sees it."""
    return {name: value for name, value in obj.items() if name != "status"}


def with_fields(obj: Object, fields: list[Object]) -> Object:
    """Return the object with these managedFields."""
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": {**metadata, **({"managedFields": fields} if fields else {})}}


def shown(obj: Object) -> Object:
    """Return what is compared: everything except what the system sets.

    Empty metadata equals absent metadata."""
    metadata = {name: value for name, value in obj["metadata"].items() if name not in SYSTEM and value}
    return {name: value for name, value in {**obj, "metadata": metadata}.items() if name not in ("apiVersion", "kind")}


def defaulted(obj: Object) -> Object:
    """Return the object as decoded: with defaults, without empty metadata, and without nulls that
    the schema does not allow."""
    found: Object = _defaulted(copy.deepcopy(obj), SCHEMA)
    return {**found, "metadata": {name: value for name, value in found["metadata"].items() if value not in ({}, [])}}


def _defaulted(value: Any, schema: Object) -> Any:
    if isinstance(value, list) and "items" in schema:
        return [_defaulted(item, schema["items"]) for item in value]
    if not isinstance(value, dict):
        return value
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
    found = {}
    for name, part in value.items():
        below = properties.get(name, extra)
        if part is None and below is not None and not below.get("nullable"):
            continue
        found[name] = part if below is None else _defaulted(part, below)
    for name, below in properties.items():
        if found.get(name) is None and "default" in below:
            found[name] = below["default"]
    return found


def _merged(value: Any, patch: Any) -> Any:
    """Apply a merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(value) if isinstance(value, dict) else {}
    for name, part in patch.items():
        if part is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), part)
    return found
