"""Check which placements and gangs of Workloads are admitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from tests.unit.apiserver.registry.conftest import CONTEXT, IMAGE

if TYPE_CHECKING:
    from tests.unit.apiserver.registry.conftest import Registries

NAMESPACE = "tenant-a"


async def create(registries: Registries, name: str = "w", **spec: Any) -> dict[str, Any]:
    made = await registries.workloads.create(CONTEXT, NAMESPACE, {"metadata": {"name": name}, "spec": {"image": IMAGE, **spec}})
    return made.object()


async def refused_fields(registries: Registries, **spec: Any) -> list[str]:
    with pytest.raises(ApiError) as refused:
        await create(registries, **spec)
    return [cause["field"] for cause in refused.value.details["causes"]]


async def test_a_gang_is_stored(registries: Registries) -> None:
    gang = {"name": "ring", "minAvailable": 3}
    assert (await create(registries, gang=gang))["spec"]["gang"] == gang


@pytest.mark.parametrize(
    ("gang", "field"),
    [
        ({"name": "Ring", "minAvailable": 1}, "name"),
        ({"name": "r" * 64, "minAvailable": 1}, "name"),
        ({"minAvailable": 1}, "name"),
        ({"name": "ring"}, "minAvailable"),
        ({"name": "ring", "minAvailable": 0}, "minAvailable"),
        ({"name": "ring", "minAvailable": 1001}, "minAvailable"),
        ({"name": "ring", "minAvailable": "2"}, "minAvailable"),
    ],
)
async def test_a_gang_has_a_name_and_a_bounded_number(registries: Registries, gang: dict[str, Any], field: str) -> None:
    assert await refused_fields(registries, gang=gang) == [f"spec.gang.{field}"]
