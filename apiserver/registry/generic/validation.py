"""Convert a model's errors into the causes of a 422, worded as kube-apiserver does for a CRD."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydantic import ValidationError, create_model
from pydantic_core import ErrorDetails

from apiserver.apis.base import Model
from apiserver.apis.meta import ObjectMeta
from apiserver.apis.status import CAUSES, ApiError, cause, invalid
from apiserver.apis.wording import field_path, kind_of, worded
from apiserver.registry.generic.listtypes import duplicate_causes, with_list_types
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.schema import model_schema
from apiserver.registry.generic.sharing import changed

_TEXTS = frozenset({"labels", "annotations", "finalizers"})
"""The metadata fields that consist of strings only, and so have one form only."""


def normalize(resource: Resource, obj: dict[str, Any], name: str, old: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the object in its model's form: defaults filled, unknown fields pruned.

    Raises ApiError Invalid with every cause. `old` is the stored object. The parts that `obj`
    shares with it (see sharing) are not validated again. So a status can be written, and a
    finalizer removed, although the stored spec would be refused today. The metadata strings that
    metadata.for_update has validated are not validated again either."""
    if old is None:
        return _normalized(resource, resource.model, obj, name)
    shared = {field for field, part in obj.items() if field != "metadata" and field in old and old[field] is part}
    if not shared - {"apiVersion", "kind"}:
        return _normalized(resource, resource.model, obj, name)
    metadata = obj["metadata"]
    new = {field: part for field, part in changed(old["metadata"], metadata).items() if field not in _TEXTS}
    rest = {field: part for field, part in obj.items() if field != "metadata" and field not in shared}
    gone = old.keys() - obj.keys()  # the model may have defaults for them
    if not new and not rest and not gone:
        return obj
    if (rest or gone) and resource.model.__pydantic_decorators__.model_validators:
        # its parts depend on each other, as data and stringData of a Secret
        return _normalized(resource, resource.model, obj, name)
    part = _part(resource.model, frozenset(resource.model.model_fields) - {"metadata", *_attributes(resource.model, shared)})
    found = _normalized(resource, part, {**rest, "metadata": new}, name)
    kept = {k: found["metadata"][k] if k in new else v for k, v in metadata.items() if k in found["metadata"] or k not in new}
    return {**{field: obj[field] for field in obj if field in shared}, **found, "metadata": kept}


def _attributes(model: type[Model], fields: set[str]) -> set[str]:
    """Return the model's attributes for the fields of these names."""
    return {name for name, field in model.model_fields.items() if (field.alias or name) in fields}


@lru_cache(maxsize=256)
def _list_schema(model: type[Model]) -> dict[str, Any]:
    """Return the parts of the model's schema that are lists without duplicates."""
    return with_list_types(model_schema(model))


@lru_cache(maxsize=256)
def _part(model: type[Model], attributes: frozenset[str]) -> type[Model]:
    """Return the model reduced to these attributes and the metadata, which every kind has."""
    kept: Any = {name: (field.rebuild_annotation(), field) for name, field in model.model_fields.items() if name in attributes}
    return create_model(model.__name__, __base__=Model, metadata=(ObjectMeta, ...), **kept)


def _normalized(resource: Resource, model: type[Model], obj: dict[str, Any], name: str) -> dict[str, Any]:
    try:
        found = model.decode(obj).encode()
    except ValidationError as error:
        complaints = error.errors(include_url=False)
        found = _with_defaults(model, obj, complaints)
        if not found:
            raise refuse(resource, name, [one for detail in complaints[:CAUSES] for one in _causes(detail)]) from None
    causes = list(duplicate_causes(_list_schema(model), found))
    if causes:
        raise refuse(resource, name, causes)
    return found


def _with_defaults(model: type[Model], obj: dict[str, Any], complaints: list[ErrorDetails]) -> dict[str, Any]:
    """Return the object with defaults in place of nulls, or {} if that does not help.

    kube-apiserver accepts null where there is a default."""
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
    """Return the 422 for these causes."""
    return invalid(resource.group, resource.kind, name, causes)


def causes_of(error: ValidationError) -> list[dict[str, str]]:
    """Return one cause for each error, up to CAUSES errors."""
    return [cause for detail in error.errors(include_url=False)[:CAUSES] for cause in _causes(detail)]


def _causes(detail: ErrorDetails) -> list[dict[str, str]]:
    """Return the cause of an error, preceded by a type error if a word has a wrong type."""
    found = _cause(detail)
    if detail["type"] == "literal_error" and not isinstance(detail["input"], str):
        kind, path = kind_of(detail["input"]), found["field"]
        wrong = cause("FieldValueTypeInvalid", f'Invalid value: "{kind}": {path} in body must be of type string: "{kind}"', path)
        return [wrong, found]
    return [found]


def _cause(detail: ErrorDetails) -> dict[str, str]:
    return cause(*worded(detail), field_path(detail["loc"]))
