"""Ignore, warn about or refuse unknown fields and duplicate fields, as fieldValidation requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from apiserver.apis.status import ApiError, bad_request, cause, invalid
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.resource import Resource

CONTAINERS = (dict, list)
MOST = 50
"""The number of problems that are reported. The rest is only counted."""


def check_body(context: Context, resource: Resource, schema: dict[str, Any], obj: dict[str, Any], duplicates: Sequence[str]) -> None:
    """Validate the fields of the object that the client sent. Raises ApiError (400) for Strict."""
    problems = _problems(context, schema, obj, duplicates)
    if problems:
        kind, version = resource.kind, resource.version
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: {", ".join(problems)}')


def check_patched(
    context: Context, schema: dict[str, Any], obj: dict[str, Any], duplicates: Sequence[str], current: dict[str, Any]
) -> None:
    """Validate the fields of a patched object. Raises ApiError (422) for Strict, as kube-apiserver
    does."""
    problems = _problems(context, schema, obj, duplicates, current)
    if problems:
        raise _invalid_patch(f"strict decoding error: {', '.join(problems)}")


def unknown_fields(schema: dict[str, Any], value: Any, path: str = "", stored: Any = None) -> Iterator[str]:
    """Yield the paths of fields that the schema does not have. The model reports wrong types.

    `stored` has no such fields; parts that `value` shares with it are skipped."""
    if isinstance(value, list):
        items = schema.get("items")
        if items:
            for index, item in enumerate(value):
                if item and isinstance(item, CONTAINERS):
                    yield from unknown_fields(items, item, f"{path}[{index}]")
        return
    if not isinstance(value, dict) or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    known, extra = schema.get("properties"), schema.get("additionalProperties")
    if known is None and extra is None:
        return
    before = stored if isinstance(stored, dict) else {}
    for key, item in value.items():
        if key in before and before[key] is item:
            continue
        inner = known.get(key) if known is not None else extra
        if inner is None:
            yield f"{path}.{key}" if path else key
        elif item and isinstance(item, CONTAINERS):
            yield from unknown_fields(inner, item, f"{path}.{key}" if path else key, before.get(key))


def _problems(
    context: Context, schema: dict[str, Any], obj: dict[str, Any], duplicates: Sequence[str], stored: dict[str, Any] | None = None
) -> list[str]:
    """Return the problems that Strict refuses. For Warn, add them to the context's warnings
    instead."""
    if context.field_validation == "Ignore":
        return []
    problems = [*duplicates, *(f'unknown field "{field}"' for field in sorted(unknown_fields(schema, obj, stored=stored)))]
    if len(problems) > MOST:
        problems = [*problems[:MOST], f"and {len(problems) - MOST} more"]
    if context.field_validation == "Strict":
        return problems
    context.warnings.extend(problems)
    return []


def _invalid_patch(why: str) -> ApiError:
    return invalid("", "", "", [cause("FieldValueInvalid", f"Invalid value: {why}", "patch")])
