"""Check that every field that people write or read in the project's own kinds has a description,
which kubectl explain shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.workload import CHOICE
from apiserver.registry.baremetalhost import baremetalhosts
from apiserver.registry.generic.schema import structural_schema
from apiserver.registry.host import HOSTS
from apiserver.registry.reservation import RESERVATIONS
from apiserver.registry.workload import WORKLOADS
from apiserver.registry.workloadclass import WORKLOADCLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apiserver.registry.generic.resource import Resource


def undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, part in (schema.get("properties") or {}).items():
        below = f"{path}.{name}"
        if not part.get("description"):
            yield below
        yield from undescribed(part, below)
    if "items" in schema:
        yield from undescribed(schema["items"], f"{path}[]")


@pytest.mark.parametrize(
    "resource", [WORKLOADS, RESERVATIONS, WORKLOADCLASSES, HOSTS, baremetalhosts(view=True)], ids=lambda resource: resource.kind
)
def test_every_field_is_described(resource: Resource) -> None:
    schema = structural_schema(resource)
    assert [path for part in ("spec", "status") for path in undescribed(schema["properties"][part], f"{resource.kind}.{part}")] == []


def defaults(schema: dict[str, Any], path: str) -> Iterator[tuple[str, Any, str]]:
    if schema.get("default") not in (None, "", [], {}):
        yield path, schema["default"], schema.get("description") or ""
    for name, part in (schema.get("properties") or {}).items():
        yield from defaults(part, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from defaults(schema["items"], f"{path}[]")


@pytest.mark.parametrize("resource", [WORKLOADS, WORKLOADCLASSES], ids=lambda resource: resource.kind)
def test_every_default_is_reported(resource: Resource) -> None:
    found = list(defaults(structural_schema(resource)["properties"]["spec"], "spec"))
    assert found
    for path, default, text in found:
        said = str(default).lower() if isinstance(default, bool) else str(default)
        assert "efault" in text, path
        assert said in text or "by default" in text, path


def test_what_is_fixed_by_the_binding_says_so() -> None:
    fields = structural_schema(WORKLOADS)["properties"]["spec"]["properties"]
    assert {name for name, part in fields.items() if "Fixed once a host is bound" in part["description"]} == set(CHOICE)
