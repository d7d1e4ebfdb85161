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


SPREAD = {"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "db"}}}
TERM = {"topologyKey": "example.com/rack", "labelSelector": {}}


async def test_a_placement_is_stored(registries: Registries) -> None:
    placement = {
        "failureDomains": {"required": ["a", "b"], "preferred": ["b"]},
        "topologySpread": [SPREAD, {**SPREAD, "whenUnsatisfiable": "ScheduleAnyway"}],
        "antiAffinity": {"required": [TERM], "preferred": [{**TERM, "weight": 10}]},
    }
    stored = (await create(registries, placement=placement, priority=-5))["spec"]
    assert (stored["placement"], stored["priority"]) == (placement, -5)


def spread(**changes: Any) -> dict[str, Any]:
    return {"topologySpread": [{key: value for key, value in {**SPREAD, **changes}.items() if value is not None}]}


def selecting(count: int) -> dict[str, Any]:
    return {**TERM, "labelSelector": {"matchLabels": {f"k{number}": "v" for number in range(count)}}}


@pytest.mark.parametrize(
    ("placement", "field"),
    [
        (spread(maxSkew=0), "topologySpread[0].maxSkew"),
        (spread(topologyKey="a b"), "topologySpread[0].topologyKey"),
        (spread(topologyKey="/rack"), "topologySpread[0].topologyKey"),
        (spread(topologyKey="r" * 64), "topologySpread[0].topologyKey"),
        (spread(whenUnsatisfiable="Maybe"), "topologySpread[0].whenUnsatisfiable"),
        (spread(labelSelector=None), "topologySpread[0].labelSelector"),
        (spread(labelSelector={"matchLabels": {"k" * 318: "v"}}), None),
        ({"topologySpread": [{**SPREAD, "topologyKey": f"k{number}"} for number in range(9)]}, "topologySpread"),
        ({"topologySpread": [SPREAD, SPREAD]}, "topologySpread[1]"),
        ({"failureDomains": {"required": []}}, "failureDomains.required"),
        ({"failureDomains": {"required": ["not a label"]}}, "failureDomains.required[0]"),
        ({"failureDomains": {"preferred": [f"d{number}" for number in range(65)]}}, "failureDomains.preferred"),
        ({"antiAffinity": {"preferred": [{**TERM, "weight": 101}]}}, "antiAffinity.preferred[0].weight"),
        ({"antiAffinity": {"required": [TERM] * 9}}, "antiAffinity.required"),
        ({"antiAffinity": {"required": [selecting(40), selecting(25)]}}, None),
    ],
)
async def test_a_placement_is_bounded_and_says_which_part_is_not(
    registries: Registries, placement: dict[str, Any], field: str | None
) -> None:
    assert await refused_fields(registries, placement=placement) == [f"spec.placement.{field}" if field else "spec.placement"]


@pytest.mark.parametrize("priority", [10**9 + 1, -(10**9) - 1, 0.5, "high"])
async def test_a_priority_is_a_bounded_number(registries: Registries, priority: Any) -> None:
    assert await refused_fields(registries, priority=priority) == ["spec.priority"]


async def test_the_priority_and_the_gang_may_change_while_there_is_a_host(registries: Registries) -> None:
    host = await registries.add_host()
    await create(registries, className="metal")
    await registries.workloads.connect(CONTEXT, NAMESPACE, "w", "binding", {"target": {"name": host}})
    changes = {"priority": 7, "gang": {"name": "ring", "minAvailable": 2}}
    changed = await registries.workloads.update(CONTEXT, NAMESPACE, "w", lambda old: {**old, "spec": {**old["spec"], **changes}})
    assert {key: changed.object()["spec"][key] for key in changes} == changes
