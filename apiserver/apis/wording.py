"""Translate pydantic's validation errors into the words of kube-apiserver.

No other module does this. The words are those of k8s.io/apimachinery/pkg/util/validation/field, and
of kube-openapi's validation of custom resources.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

TYPES = {
    "string_type": "string",
    "bool_type": "boolean",
    "int_type": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "list_type": "array",
    "tuple_type": "array",
    "set_type": "array",
    "frozen_set_type": "array",
    "dict_type": "object",
    "mapping_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
    "finite_number": "number",
}
"""The errors about a value's type, with the required type."""
_BOUNDS = {
    "greater_than_equal": ("ge", "should be greater than or equal to {}"),
    "less_than_equal": ("le", "should be less than or equal to {}"),
    "greater_than": ("gt", "should be greater than {}"),
    "less_than": ("lt", "should be less than {}"),
    "multiple_of": ("multiple_of", "should be a multiple of {}"),
    "string_too_short": ("min_length", "should be at least {} chars long"),
    "too_short": ("min_length", "should have at least {} items"),
    "string_pattern_mismatch": ("pattern", "should match '{}'"),
}
_LARGE = {
    "string_too_long": ("FieldValueTooLong", "Too long: may not be more than {max_length} bytes"),
    "bytes_too_long": ("FieldValueTooLong", "Too long: may not be more than {max_length} bytes"),
    "too_long": ("FieldValueTooMany", "Too many: {actual_length}: must have at most {max_length} items"),
}


def worded(detail: ErrorDetails) -> tuple[str, str]:
    """Return the reason and the message of a cause, as kube-apiserver words them."""
    kind, path, value, context = detail["type"], field_path(detail["loc"]), detail["input"], detail.get("ctx") or {}
    if kind == "missing":
        return "FieldValueRequired", "Required value"
    if kind in _LARGE:
        reason, text = _LARGE[kind]
        return reason, text.format(**context)
    if kind == "literal_error":
        return "FieldValueNotSupported", f"Unsupported value: {json.dumps(value)}: supported values: {_words(context)}"
    if kind in TYPES:
        found = kind_of(value)
        return "FieldValueTypeInvalid", f'Invalid value: "{found}": {path} in body must be of type {TYPES[kind]}: "{found}"'
    if kind in ("value_error", "assertion_error"):
        shown = f"{json.dumps(value)}: " if isinstance(value, str | int) else ""
        return "FieldValueInvalid", f"Invalid value: {shown}{context['error']}"
    shown = json.dumps(value) if isinstance(value, str | int | float) else f'"{kind_of(value)}"'
    return "FieldValueInvalid", f"Invalid value: {shown}: {path} in body {_rule(kind, context)}"


def _rule(kind: str, context: dict[str, Any]) -> str:
    """Return the rule that a value violates.

    Unknown errors are not quoted, so that users do not read a library's words."""
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return text.format(context[name])
    return "is a forbidden property" if kind == "extra_forbidden" else "is not valid"


def _words(context: dict[str, Any]) -> str:
    return str(context["expected"]).replace(" or ", ", ").replace("'", '"')


def sentence(detail: ErrorDetails) -> str:
    """Return an error about something other than an API object, such as a file.

    Example: `rules[0].level: Unsupported value: …`."""
    path, (_, message) = field_path(detail["loc"]), worded(detail)
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown field"
    return f"{path or 'it'}: {message.replace(f'{path} in body ', '')}"


def parameter_problems(error: ValidationError, model: type[BaseModel]) -> str:
    """Return all errors about the parameters that `model` describes.

    For an unknown parameter, the existing ones are listed."""
    return "; ".join(_parameter(detail, model) for detail in error.errors(include_url=False))


def _parameter(detail: ErrorDetails, model: type[BaseModel]) -> str:
    if detail["type"] != "extra_forbidden":
        return sentence(detail)
    *above, name = detail["loc"]
    names = sorted(_names(_model_at(model, above)))
    where = f" in {field_path(above)}" if above else ""
    return f'unknown parameter "{name}"{where}: there {"are" if len(names) > 1 else "is"} {", ".join(names) or "none"}'


def _names(model: type[BaseModel] | None) -> Iterator[str]:
    for name, field in model.model_fields.items() if model is not None else ():
        yield field.alias or name


def _model_at(model: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """Return the model of the object at this location, or None."""
    found: type[BaseModel] | None = model
    for part in location:
        if found is None or isinstance(part, int):
            continue
        by_name = {field.alias or name: field for name, field in found.model_fields.items()}
        if part in by_name:  # otherwise it is a key of a map, whose values have one model
            found = _inner(by_name[part].annotation)
    return found


def _inner(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part)) is not None), None)


def field_path(location: Sequence[int | str]) -> str:
    """Return the path of a location, such as `spec.hosts[0].name` for ("spec", "hosts", 0,
    "name")."""
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def kind_of(value: object) -> str:
    """Return the JSON type of a value, as kube-apiserver names it."""
    if value is None:
        return "null"
    for python, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(value, python):
            return name
    return "object"
