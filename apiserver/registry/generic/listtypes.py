"""Find duplicate items in lists that are sets or maps by their schema, which kube-apiserver
refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from apiserver.apis.status import cause

LIST_TYPES = ("set", "map")


def with_list_types(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of the schema that are sets or maps, or contain one; {} if there are
    none."""
    found: dict[str, Any] = {}
    if schema.get("x-kubernetes-list-type") in LIST_TYPES:
        found = {key: part for key, part in schema.items() if key.startswith("x-kubernetes-list-")}
    for key in ("items", "additionalProperties"):
        if isinstance(part := schema.get(key), dict) and (inner := with_list_types(part)):
            found[key] = inner
    properties = {name: with_list_types(part) for name, part in (schema.get("properties") or {}).items()}
    # An additional property has another name than all properties.
    if kept := {name: part for name, part in properties.items() if part or "additionalProperties" in found}:
        found["properties"] = kept
    return found


def duplicate_causes(schema: dict[str, Any], value: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Yield a cause for each item that repeats an earlier one.

    `schema` is what with_list_types returns."""
    if not schema:
        return
    if isinstance(value, dict):
        properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, item in value.items():
            inner = properties.get(key, extra)
            if isinstance(inner, dict):
                yield from duplicate_causes(inner, item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        yield from _of_list(schema, value, path)
        for index, item in enumerate(value):
            yield from duplicate_causes(schema.get("items") or {}, item, f"{path}[{index}]")


def _of_list(schema: dict[str, Any], items: list[Any], path: str) -> Iterator[dict[str, str]]:
    keys = schema.get("x-kubernetes-list-map-keys") if schema.get("x-kubernetes-list-type") == "map" else None
    if keys is None and schema.get("x-kubernetes-list-type") != "set":
        return
    seen = set()
    for index, item in enumerate(items):
        identity = {key: item[key] for key in keys if key in item} if keys is not None and isinstance(item, dict) else item
        text = json.dumps(identity, sort_keys=True, ensure_ascii=False)
        if text in seen:
            yield cause("FieldValueDuplicate", f"Duplicate value: {text}", f"{path}[{index}]")
        seen.add(text)
