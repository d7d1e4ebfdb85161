"""Convert the schemas of models into Kubernetes' form: no references, nulls or alternatives.

`structural_schema` suits a CustomResourceDefinition. OpenAPI documents and field validation use it
too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from apiserver.apis.base import Model
from apiserver.registry.generic.resource import Resource

API_VERSION = (
    "APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the "
    "latest internal value, and may reject unrecognized values. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources"
)
KIND = (
    "Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client "
    "submits requests to. Cannot be updated. In CamelCase. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds"
)
_KEPT = (
    "description", "type", "format", "enum", "pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength",
    "maxLength", "minItems", "maxItems", "maxProperties", "uniqueItems", "multipleOf", "required", "default", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
)  # fmt: skip


def structural_schema(resource: Resource) -> dict[str, Any]:
    """Return the openAPIV3Schema of the kind, in which metadata is only an object.

    It has no $ref, no null, and no anyOf except that of int-or-string."""
    schema = dict(model_schema(resource.model))
    schema["properties"] = {**schema["properties"], "metadata": {"type": "object"}}
    schema["required"] = [name for name in schema.get("required", ()) if name not in ("apiVersion", "kind", "metadata")]
    if not schema["required"]:
        del schema["required"]
    return schema


@lru_cache(maxsize=256)
def model_schema(model: type[Model]) -> dict[str, Any]:
    """Return the schema of any model, including metadata. The result is shared and must not be
    changed."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    schema = _convert(raw, raw.get("$defs", {}), ())
    for name, text in (("apiVersion", API_VERSION), ("kind", KIND)):
        if name in schema.get("properties", {}):
            schema["properties"][name]["description"] = text
    return schema


def _convert(raw: dict[str, Any], definitions: dict[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
    if "$ref" in raw:
        name = raw["$ref"].rpartition("/")[2]
        if name in inside:
            raise ValueError(f"the model {name} contains itself, which a structural schema cannot say")
        own = {key: value for key, value in raw.items() if key != "$ref"}
        return _convert({**definitions[name], **own}, definitions, (*inside, name))
    if raw.get("x-kubernetes-int-or-string"):
        found = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}
        return found | _with_default({key: raw[key] for key in ("description", "pattern", "default") if raw.get(key) is not None})
    if "anyOf" in raw or "oneOf" in raw:
        return _convert(_alternative(raw), definitions, inside)
    found = {key: raw[key] for key in _KEPT if raw.get(key) is not None}
    if "const" in raw:
        found["enum"] = [raw["const"]]
    _convert_parts(raw, found, definitions, inside)
    return _with_default(found)


def _with_default(found: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with its default in the description, because kubectl explain does not show
    defaults."""
    text, default = found.get("description"), found.get("default")
    if not text or default in (None, "", [], {}) or "efault" in text:
        return found
    said = str(default).lower() if isinstance(default, bool) else str(default)
    return {**found, "description": f"{text} Defaults to {said}."}


def _alternative(raw: dict[str, Any]) -> dict[str, Any]:
    """Return the only alternative that is not null, with the attributes of the whole."""
    choices = [choice for choice in raw.get("anyOf") or raw["oneOf"] if choice.get("type") != "null"]
    if len(choices) != 1:
        raise ValueError(f"a structural schema has no alternatives: {choices}")
    own = {key: value for key, value in raw.items() if key not in ("anyOf", "oneOf", "title")}
    return {**choices[0], **own}


def _convert_parts(raw: dict[str, Any], found: dict[str, Any], definitions: dict[str, Any], inside: tuple[str, ...]) -> None:
    if "properties" in raw:
        found["properties"] = {name: _convert(part, definitions, inside) for name, part in raw["properties"].items()}
    if "items" in raw:
        found["items"] = _convert(raw["items"], definitions, inside)
    extra = raw.get("additionalProperties")
    if isinstance(extra, dict) and extra:
        found["additionalProperties"] = _convert(extra, definitions, inside)
    elif (extra is True or extra == {} or raw.get("type") == "object") and "properties" not in raw:
        found["x-kubernetes-preserve-unknown-fields"] = True
    if "type" not in found:
        found["x-kubernetes-preserve-unknown-fields"] = True
