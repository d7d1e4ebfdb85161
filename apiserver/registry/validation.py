"""From a model's complaints to the causes of a 422, worded as kube-apiserver words those of a CRD. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from apiserver.apis.status import ApiError, cause, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from apiserver.registry.resource import Resource

__all__ = ["causes_of", "normalize", "refuse"]

_TYPES = {
    "string_type": "string",
    "bool_type": "boolean",
    "int_type": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "list_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}


def normalize(resource: Resource, obj: dict[str, Any], name: str) -> dict[str, Any]:
    """The object as its model sees it: defaults filled, unknown fields pruned. Raises ApiError Invalid with every cause."""
    try:
        return resource.model.decode(obj).encode()
    except ValidationError as error:
        raise refuse(resource, name, causes_of(error)) from None


def refuse(resource: Resource, name: str, causes: Sequence[dict[str, str]]) -> ApiError:
    """The 422 for these causes."""
    return invalid(resource.group, resource.kind, name, causes)


def causes_of(error: ValidationError) -> list[dict[str, str]]:
    """One cause for each complaint."""
    return [_cause(detail) for detail in error.errors(include_url=False)]


def field_path(location: Sequence[int | str]) -> str:
    """`spec.hosts[0].name` for ("spec", "hosts", 0, "name")."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def kind_of(value: object) -> str:
    """The JSON type of a value, as kube-apiserver names it."""
    if value is None:
        return "null"
    for python, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(value, python):
            return name
    return "object"


def _cause(detail: ErrorDetails) -> dict[str, str]:
    kind, path, value = detail["type"], field_path(detail["loc"]), detail["input"]
    if kind == "missing":
        return cause("FieldValueRequired", "Required value", path)
    if kind in _TYPES:
        found = kind_of(value)
        return cause("FieldValueTypeInvalid", f'Invalid value: "{found}": {path} in body must be of type {_TYPES[kind]}: "{found}"', path)
    if kind == "literal_error":
        supported = detail["ctx"]["expected"].replace(" or ", ", ").replace("'", '"')
        return cause("FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {supported}", path)
    if kind == "string_pattern_mismatch":
        pattern = detail["ctx"]["pattern"]
        return cause("FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {path} in body should match '{pattern}'", path)
    if kind == "value_error":
        message = str(detail["ctx"]["error"])
        shown = f"{json.dumps(value)}: " if isinstance(value, str | int) else ""
        return cause("FieldValueInvalid", f"Invalid value: {shown}{message}", path)
    shown = json.dumps(value) if isinstance(value, str | int | float) else f'"{kind_of(value)}"'
    return cause("FieldValueInvalid", f"Invalid value: {shown}: {path} in body: {detail['msg']}", path)
