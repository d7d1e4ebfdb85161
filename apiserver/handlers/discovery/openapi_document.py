"""Generate the OpenAPI documents of resources, versions 2.0 and 3.0.

They contain the parts that Kubernetes' clients and its aggregator read. Both versions are generated
from the same neutral schemas and operations, in which a reference is {"$ref": "@name"}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from apiserver.apis.base import Model
from apiserver.apis.workloadset import Scale
from apiserver.handlers.discovery import openapi_meta
from apiserver.handlers.discovery.openapi_paths import SCALE_DEFINITION, SCALE_KIND, Operation, Parameter, paths_of
from apiserver.registry.generic.resource import SCALE, Resource
from apiserver.registry.generic.schema import API_VERSION, KIND, model_schema

GVK = "x-kubernetes-group-version-kind"
ANYTHING = "x-kubernetes-preserve-unknown-fields"
META = openapi_meta.PREFIX
ERRORS = 400
"""From this status on, the response is not an object of the kind."""


INT_OR_STRING = "x-kubernetes-int-or-string"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_QUANTITY = {
    "description": "A number, or a text of a number and a suffix, such as 16, 64Gi or 1Ti.",
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    INT_OR_STRING: True,
}


def document_v3(resources: Sequence[Resource], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.0 document of the resources of one group and version."""
    schemas = {name: _schema_v3(schema) for name, schema in sorted(_definitions(resources).items())} | {QUANTITY: _QUANTITY}
    paths = _paths(resources, _operation_v3, _parameter_v3)
    return {"openapi": "3.0.0", "info": _info(version), "paths": paths, "components": {"schemas": schemas}}


def document_v2(resources: Sequence[Resource], version: str) -> dict[str, Any]:
    """Return the OpenAPI 2.0 document of all resources."""
    schemas = {name: _schema_v2(schema) for name, schema in sorted(_definitions(resources).items())}
    paths = _paths(resources, _operation_v2, _parameter_v2)
    return {"swagger": "2.0", "info": _info(version), "paths": paths, "definitions": schemas}


def definition_name(resource: Resource) -> str:
    """Return the definition's name, such as io.metal3.workload.v1alpha1.Workload.

    kube-apiserver names custom resources like this, and built-in kinds by their Go package."""
    group = ".".join(reversed(resource.group.split("."))) if resource.group else "io.k8s.api.core"
    return f"{group}.{resource.version}.{resource.kind}"


def _paths(
    resources: Sequence[Resource],
    written: Callable[[Operation], dict[str, Any]],
    parameter: Callable[[Parameter], dict[str, Any]],
) -> dict[str, Any]:
    """Return the operations by path and method, with the parameters that all methods of a path
    share."""
    paths: dict[str, Any] = {}
    for operation in (found for resource in resources for found in paths_of(resource, definition_name(resource))):
        path = paths.setdefault(operation.path, {"parameters": [parameter(p) for p in operation.shared]})
        path[operation.method] = written(operation)
    return paths


def _info(version: str) -> dict[str, str]:
    return {"title": "metal3-workloads", "version": version}


def _definitions(resources: Sequence[Resource]) -> dict[str, dict[str, Any]]:
    """Return the neutral definitions of the kinds, their lists and meta/v1."""
    found = dict(openapi_meta.definitions())
    for resource in resources:
        name = definition_name(resource)
        found[name] = _kind(resource)
        found[f"{name}List"] = _list(resource, name)
    if any(SCALE in (resource.subresources or {}) for resource in resources):
        found[SCALE_DEFINITION] = _typed(Scale, SCALE_KIND)
    for name, kind in ((f"{META}Status", "Status"), (f"{META}DeleteOptions", "DeleteOptions")):
        kinds = [{"group": "", "version": "v1", "kind": kind}]
        if kind == "DeleteOptions":
            versions = sorted({(resource.group, resource.version) for resource in resources} - {("", "v1")})
            kinds += [{"group": group, "version": version, "kind": kind} for group, version in versions]
        found[name] = {**found[name], GVK: kinds}
    return found


def _kind(resource: Resource) -> dict[str, Any]:
    kind = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {**_typed(resource.model, kind), **_selectable(resource)}


def _typed(model: type[Model], kind: dict[str, str]) -> dict[str, Any]:
    """Return the definition of the objects of a kind."""
    schema = dict(model_schema(model))
    metadata = {"$ref": f"@{META}ObjectMeta", "description": "Standard object's metadata."}
    schema["properties"] = {**schema["properties"], "metadata": metadata}
    return {**schema, GVK: [kind]}


def _list(resource: Resource, name: str) -> dict[str, Any]:
    return {
        "description": f"{resource.kind}List is a list of {resource.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": API_VERSION},
            "items": {"type": "array", "description": f"List of {resource.plural}.", "items": {"$ref": f"@{name}"}},
            "kind": {"type": "string", "description": KIND},
            "metadata": {"$ref": f"@{META}ListMeta", "description": "Standard list metadata."},
        },
        GVK: [{"group": resource.group, "version": resource.version, "kind": f"{resource.kind}List"}],
        **_selectable(resource),
    }


def _selectable(resource: Resource) -> dict[str, Any]:
    """Return the fields that selectors may name besides an object's name and namespace."""
    paths = [{"fieldPath": path} for path in resource.fields or ()]
    return {"x-kubernetes-selectable-fields": paths} if paths else {}


def _schema_v3(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema for OpenAPI 3.0.

    There, a $ref may have no siblings, so a $ref with a description is wrapped in allOf."""
    if "$ref" in schema:
        reference = {"$ref": f"#/components/schemas/{schema['$ref'][1:]}"}
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**rest, "allOf": [reference]} if rest else reference
    if schema.get(INT_OR_STRING):
        # Reference the type by its name, which kubectl explain shows. It treats a schema without a
        # type as an object.
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**rest, "allOf": [{"$ref": f"#/components/schemas/{QUANTITY}"}]}
    return {key: _below(key, value, _schema_v3) for key, value in schema.items()}


def _schema_v2(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema for OpenAPI 2.0.

    2.0 has no anyOf, so a value that may be a number or a string has no type there. Nor has a value
    of any type. Defaults are left out, as kube-apiserver does for old clients."""
    if "$ref" in schema:
        return {**schema, "$ref": f"#/definitions/{schema['$ref'][1:]}"}
    dropped = {"anyOf", "default"} | ({"type"} if schema.get(ANYTHING) else set())
    return {key: _below(key, value, _schema_v2) for key, value in schema.items() if key not in dropped}


def _below(key: str, value: Any, convert: Any) -> Any:
    if key == "properties":
        return {name: convert(part) for name, part in value.items()}
    if key in ("items", "additionalProperties") and isinstance(value, dict):
        return convert(value)
    return value


def _operation_v3(operation: Operation) -> dict[str, Any]:
    found = _common(operation)
    if operation.parameters:
        found["parameters"] = [_parameter_v3(p) for p in operation.parameters]
    if operation.body:
        schema = _schema_v3(operation.body)
        found["requestBody"] = {"required": operation.body_required, "content": {media: {"schema": schema} for media in operation.consumes}}
    answer = _schema_v3(operation.answer)
    content = {media: {"schema": answer} for media in operation.produces}
    found["responses"] = {
        str(code): {"description": text, **({"content": content} if code < ERRORS else {})} for code, text in operation.codes
    }
    return found


def _parameter_v3(p: Parameter) -> dict[str, Any]:
    required = {"required": True} if p.place == "path" else {}
    return {"name": p.name, "in": p.place, "description": p.description, **required, "schema": {"type": p.type, "uniqueItems": True}}


def _operation_v2(operation: Operation) -> dict[str, Any]:
    found = _common(operation)
    found["consumes"], found["produces"], found["schemes"] = list(operation.consumes), list(operation.produces), ["https"]
    parameters: list[dict[str, Any]] = []
    if operation.body:
        parameters.append({"name": "body", "in": "body", "required": operation.body_required, "schema": _schema_v2(operation.body)})
    if parameters := [*parameters, *map(_parameter_v2, operation.parameters)]:
        found["parameters"] = parameters
    answer = {"schema": _schema_v2(operation.answer)}
    found["responses"] = {str(code): {"description": text, **(answer if code < ERRORS else {})} for code, text in operation.codes}
    return found


def _parameter_v2(p: Parameter) -> dict[str, Any]:
    required = {"required": True} if p.place == "path" else {}
    return {"name": p.name, "in": p.place, "type": p.type, "uniqueItems": True, "description": p.description, **required}


def _common(operation: Operation) -> dict[str, Any]:
    return {
        "tags": [operation.tag],
        "description": operation.description,
        "operationId": operation.id,
        "x-kubernetes-action": operation.action,
        GVK: operation.kind,
    }
