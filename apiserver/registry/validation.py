"""From a model's complaints to the causes of a 422, worded as kube-apiserver words those of a CRD. Pure."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from apiserver.apis.base import Model
from apiserver.apis.meta import ObjectMeta
from apiserver.apis.status import ApiError, cause, invalid
from apiserver.registry.listtypes import doubled
from apiserver.registry.schema import model_schema
from apiserver.registry.sharing import changed, shares_all_but_metadata

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


_TEXTS = frozenset({"labels", "annotations", "finalizers"})
"""Metadata that is nothing but texts, and so has one form only."""


class _Metadata(Model):
    """What every kind has."""

    metadata: ObjectMeta


def normalize(resource: Resource, obj: dict[str, Any], name: str, old: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object as its model sees it: defaults filled, unknown fields pruned. Raises ApiError Invalid with every cause.

    `old`: what is stored. Where `obj` shares all but some of the metadata with it (see sharing), only that is looked at, and of that not
    the texts that metadata.for_update has judged."""
    if old is None or not shares_all_but_metadata(old, obj):
        return _normalized(resource, resource.model, obj, name)
    metadata = obj["metadata"]
    new = {field: part for field, part in changed(old["metadata"], metadata).items() if field not in _TEXTS}
    if not new:
        return obj
    found = _normalized(resource, _Metadata, {"metadata": new}, name)["metadata"]
    return {**obj, "metadata": {k: found[k] if k in new else v for k, v in metadata.items() if k in found or k not in new}}


def _normalized(resource: Resource, model: type[Model], obj: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        found = model.decode(obj).encode()
    except ValidationError as error:
        found = _with_defaults(model, obj, error)
        if not found:
            raise refuse(resource, name, causes_of(error)) from None
    causes = list(doubled(model_schema(model), found))
    if causes:
        raise refuse(resource, name, causes)
    return found


def _with_defaults(model: type[Model], obj: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The object with defaults in place of nulls, as kube-apiserver takes null where there is a default. {} when that does not help."""
    complaints = error.errors(include_url=False)
    if any(complaint["input"] is not None or not complaint["loc"] for complaint in complaints):
        return {}
    pruned = copy.deepcopy(obj)
    for complaint in complaints:
        *path, last = complaint["loc"]
        parent: Any = pruned
        for part in path:
            parent = parent[part]
        if not isinstance(parent, dict):
            return {}
        del parent[last]
    try:
        return model.decode(pruned).encode()
    except ValidationError:
        return {}


def refuse(resource: Resource, name: str, causes: Sequence[dict[str, str]]) -> ApiError:
    """The 422 for these causes."""
    return invalid(resource.group, resource.kind, name, causes)


def causes_of(error: ValidationError) -> list[dict[str, str]]:
    """One cause for each complaint."""
    return [cause for detail in error.errors(include_url=False) for cause in _causes(detail)]


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


def _causes(detail: ErrorDetails) -> list[dict[str, str]]:
    """One cause, and for a word of a wrong type the type as well."""
    found = _cause(detail)
    if detail["type"] == "literal_error" and not isinstance(detail["input"], str):
        kind, path = kind_of(detail["input"]), found["field"]
        wrong = cause("FieldValueTypeInvalid", f'Invalid value: "{kind}": {path} in body must be of type string: "{kind}"', path)
        return [wrong, found]
    return [found]


def _cause(detail: ErrorDetails) -> dict[str, str]:
    kind, path, value = detail["type"], field_path(detail["loc"]), detail["input"]
    if kind == "missing":
        return cause("FieldValueRequired", "Required value", path)
    if kind in _TYPES:
        found = kind_of(value)
        return cause("FieldValueTypeInvalid", f'Invalid value: "{found}": {path} in body must be of type {_TYPES[kind]}: "{found}"', path)
    if kind in ("string_too_long", "too_long"):
        reason = "FieldValueTooLong" if kind == "string_too_long" else "FieldValueTooMany"
        return cause(reason, f"{'Too long' if kind == 'string_too_long' else 'Too many'}: {path} in body: {detail['msg']}", path)
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
