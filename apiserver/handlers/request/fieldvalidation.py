"""Field validation: fields that the schema does not know, and fields given twice, ignored, warned of or refused. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.status import ApiError, bad_request, cause, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from apiserver.registry.generic.context import Context
    from apiserver.registry.generic.resource import Resource

__all__ = ["check_body", "check_patched", "unknown_fields"]

CONTAINERS = (dict, list)
MOST = 50
"""Problems that are told of; the rest is only counted."""


def check_body(context: Context, resource: Resource, schema: dict[str, Any], obj: dict[str, Any], duplicates: Sequence[str]) -> None:
    """Apply the client's wish to the object that it sent. Raises ApiError (400) for Strict."""
    problems = _problems(context, schema, obj, duplicates)
    if problems:
        kind, version = resource.kind, resource.version
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: {", ".join(problems)}')


def check_patched(
    context: Context, schema: dict[str, Any], obj: dict[str, Any], duplicates: Sequence[str], current: dict[str, Any]
) -> None:
    """The same for what a patch made of the current object. Raises ApiError (422) for Strict, as kube-apiserver does."""
    problems = _problems(context, schema, obj, duplicates, current)
    if problems:
        raise _invalid_patch(f"strict decoding error: {', '.join(problems)}")


def unknown_fields(schema: dict[str, Any], value: Any, path: str = "", stored: Any = None) -> Iterator[str]:
    """The paths of fields that the schema has no place for. What has the wrong type is left to the model.

    `stored`: has no such fields; the parts that `value` shares with it are not looked into."""
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
    """What Strict refuses; for Warn the context gets the warnings instead."""
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
