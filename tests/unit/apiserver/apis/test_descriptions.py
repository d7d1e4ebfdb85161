"""Every field that people write or read in the project's own kinds says what it is: kubectl explain
shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.registry.generic.schema import structural_schema
from apiserver.registry.host import HOSTS
from apiserver.registry.workload import WORKLOADS
from apiserver.registry.workloadclass import WORKLOADCLASSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apiserver.registry.generic.resource import Resource

SHARED = (
    "hostSelector",
    "selector",
    "consumerRef",
    "conditions[]",
    "nics[]",
    "userData",
    "metaData",
    "networkData",
    "credentialsSecretRef",
)
"""Types of Kubernetes and Metal3, which are documented there."""
INNER = (
    "Host.spec.view.",
    "Host.spec.chargedTo.",
    "Host.status.report.",
    "Host.status.held.",
    "Host.status.heldBy.",
    "Host.status.conditions",
)


def undescribed(schema: dict[str, Any], path: str) -> Iterator[str]:
    for name, part in (schema.get("properties") or {}).items():
        below = f"{path}.{name}"
        if not part.get("description"):
            yield below
        if name not in SHARED:
            yield from undescribed(part, below)
    if "items" in schema and f"{path.rpartition('.')[2]}[]" not in SHARED:
        yield from undescribed(schema["items"], f"{path}[]")


@pytest.mark.parametrize("resource", [WORKLOADS, WORKLOADCLASSES, HOSTS], ids=lambda resource: resource.kind)
def test_every_field_is_described(resource: Resource) -> None:
    schema = structural_schema(resource)
    found = [path for part in ("spec", "status") for path in undescribed(schema["properties"][part], f"{resource.kind}.{part}")]
    assert [path for path in found if not path.startswith(INNER)] == []
