"""Check how the controllers of one cluster are composed."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from controllers.run import Health, run_controllers
from controllers.runtime.manager import Manager
from tests.unit.controllers.fakeapi import Failure, eventually

if TYPE_CHECKING:
    from tests.unit.controllers.fakeapi import FakeApi


@pytest.mark.parametrize("plural", ["workloadsets", "reservations", "usagerecords"])
async def test_a_kind_that_cannot_be_read_is_shown(api: FakeApi, plural: str) -> None:
    """An older ClusterRole has no rule for it, and the controllers work on without."""
    api.fail = lambda _, path: Failure(403, "Forbidden") if plural in path else None
    registry, health = CollectorRegistry(), Health()

    def followed() -> float | None:
        return registry.get_sample_value(f"metal3_workloads_{plural}_followed")

    task = asyncio.ensure_future(run_controllers(api.kubeconfig, registry=registry, health=health))
    try:
        await eventually(lambda: followed() == 0)
        api.fail = lambda *_: None
        await eventually(health.started.is_set)
        await eventually(lambda: followed() == 1)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_controllers_are_unready_without_the_right_to_read_records_of_use(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controllers.run.Manager", partial(Manager, patience=0))
    api.fail = lambda _, path: Failure(403, "Forbidden") if "usagerecords" in path else None
    health = Health()
    task = asyncio.ensure_future(run_controllers(api.kubeconfig, registry=CollectorRegistry(), health=health))
    try:
        await eventually(lambda: "cannot follow usagerecords" in (health.problem() or ""))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
