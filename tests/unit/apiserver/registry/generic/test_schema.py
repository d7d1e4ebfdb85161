"""Check the structural schemas of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.base import Model
from apiserver.apis.host import Host
from apiserver.apis.metal3 import BareMetalHost
from apiserver.apis.workload import Workload
from apiserver.apis.workloadclass import WorkloadClass
from apiserver.registry.generic.schema import model_schema, structural_schema
from tests.unit.apiserver.handlers.kinds import RACKS, WIDGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = {
    "additionalProperties", "anyOf", "default", "description", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maximum",
    "maxItems", "maxProperties", "maxLength", "minimum", "minItems", "minLength", "multipleOf", "pattern", "properties", "required", "type",
    "uniqueItems",
    "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from walk(part, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from walk(schema[name], f"{path}.{name}")


@pytest.mark.parametrize("model", [Host, BareMetalHost, Workload, WorkloadClass])
def test_schemas_are_structural(model: type[Model]) -> None:
    for path, schema in walk(model_schema(model)):
        assert set(schema) <= ALLOWED, path
        flexible = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
        assert schema.get("type") in ("object", "array", "string", "integer", "number", "boolean") or flexible, path
        assert ("anyOf" in schema) == bool(schema.get("x-kubernetes-int-or-string")), path
        assert not ("properties" in schema and "additionalProperties" in schema), path
        assert set(schema.get("required", ())) <= set(schema.get("properties", ())), path
        assert schema.get("type") != "array" or "items" in schema, path


def test_schemas_have_descriptions_types_and_defaults() -> None:
    spec = model_schema(WIDGETS.model)["properties"]["spec"]["properties"]
    assert spec["size"] == {"description": "How large it is. Defaults to 1.", "type": "integer", "minimum": 1, "default": 1}
    assert spec["mode"] == {"type": "string", "enum": ["fast", "slow"], "default": "slow"}
    assert spec["settings"] == {"type": "object", "additionalProperties": {"type": "string"}}
    assert spec["free"] == {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    assert spec["parts"]["items"]["required"] == ["name"]
    assert spec["parts"]["items"]["properties"]["weight"]["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert spec["main"]["description"] == "The part that matters."


def test_metadata_is_left_to_the_server() -> None:
    assert structural_schema(WIDGETS)["properties"]["metadata"] == {"type": "object"}
    assert "finalizers" in model_schema(WIDGETS.model)["properties"]["metadata"]["properties"]
    assert "required" not in structural_schema(RACKS)


class Loop(Model):
    """This model contains itself."""

    inner: Loop | None = None


class Either(Model):
    """This model has alternatives."""

    value: int | list[str]


@pytest.mark.parametrize(("model", "why"), [(Loop, "contains itself"), (Either, "no alternatives")])
def test_constraints_without_a_schema_keyword_are_an_error(model: type[Model], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        model_schema(model)
