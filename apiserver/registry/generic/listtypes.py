"""Find duplicate items in lists that are sets or maps by their schema, which kube-apiserver
refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from apiserver.apis.status import cause

_KNOWN: dict[int, tuple[dict[str, Any], bool]] = {}
"""Whether a schema contains a set or map, by the schema's id().

The schema is kept, so that no other object gets its id."""


def duplicate_causes(schema: dict[str, Any], value: Any, path: str = "") -> Iterator[dict[str, str]]:
    """Yield a cause for each item that repeats an earlier one.

    `schema` must never be changed (see model_schema)."""
    if not _concerned(schema):
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


def _concerned(schema: dict[str, Any]) -> bool:
    known = _KNOWN.get(id(schema))
    if known is None:
        parts = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
        below = [_concerned(part) for part in parts if isinstance(part, dict)]
        known = _KNOWN[id(schema)] = (schema, schema.get("x-kubernetes-list-type") in ("set", "map") or any(below))
    return known[1]
