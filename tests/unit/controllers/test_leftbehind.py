"""Check what a Workload leaves behind where the owner has intervened: copied secrets, and a
charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.controllers.clusters import BMH, HOSTS, SECRETS, WORKLOADS, TwoClusters, bmh, controllers, secret, two_clusters, workload
from tests.unit.controllers.fakeapi import Failure, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def here() -> AsyncIterator[TwoClusters]:
    async with two_clusters() as made:
        made.hardware.put(BMH, bmh("h1"))
        yield made


async def install(here: TwoClusters) -> str:
    """Run a Workload with first-boot data, and return the name of its Host."""
    here.management.put(SECRETS, secret("boot", "team-a", userData="#cloud-config"))
    here.management.put(WORKLOADS, workload("web", userData={"name": "boot"}))
    await eventually(lambda: here.phase("web") == "Running")
    assert here.hardware.all(SECRETS)
    return here.host_object("h1")


async def test_copied_secrets_go_with_the_real_host(here: TwoClusters) -> None:
    async with controllers(here):
        name = await install(here)
        here.hardware.remove(BMH, "h1", "metal3")
        await eventually(lambda: here.management.get(HOSTS, name)["status"]["reason"] == "HostGone")
        await eventually(lambda: here.hardware.all(SECRETS) == [])
        await eventually(lambda: here.phase("web") == "Lost")


async def test_copied_secrets_go_with_the_workload_when_nobody_saw_its_host_go(here: TwoClusters) -> None:
    async with controllers(here):
        name = await install(here)
    here.hardware.remove(BMH, "h1", "metal3")
    here.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
    here.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
    async with controllers(here):
        await eventually(lambda: here.management.find(HOSTS, name) is None)
        assert here.hardware.all(SECRETS), "the Workload has them still"
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        assert here.hardware.all(SECRETS) == []


async def test_copied_secrets_stay_with_a_host_that_was_taken_back(here: TwoClusters) -> None:
    async with controllers(here):
        name = await install(here)
        here.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
        here.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
        await eventually(lambda: here.management.get(HOSTS, name)["status"].get("reason") == "Orphaned")
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)
        assert here.hardware.all(SECRETS), "the real host names them"
        here.hardware.edit(BMH, "h1", {"spec": {"image": None, "consumerRef": None}}, "metal3")
        await eventually(lambda: here.hardware.all(SECRETS) == [])


async def test_a_source_that_is_away_keeps_no_workload_from_ending(here: TwoClusters) -> None:
    async with controllers(here):
        name = await install(here)
        here.management.edit(WORKLOADS, "web", {"status": {"host": None, "phase": "Lost"}}, "team-a")
        here.management.edit(HOSTS, name, {"spec": {"claimRef": None, "view": None}})
        here.hardware.remove(BMH, "h1", "metal3")
        await eventually(lambda: here.management.find(HOSTS, name) is None)
        here.hardware.fail = lambda verb, path: Failure(503, "ServiceUnavailable", "away")
        here.request_deletion("web")
        await eventually(lambda: here.management.find(WORKLOADS, "web", "team-a") is None)


async def test_a_charge_ends_whatever_else_is_written_meanwhile(here: TwoClusters) -> None:
    charge = {"namespace": "team-a", "name": "web", "uid": "gone", "unhealthy": False}
    async with controllers(here):
        await eventually(lambda: here.management.all(HOSTS)[0]["spec"].get("offers") is not None)
        name = here.host_object("h1")

        def somebody_writes(verb: str, path: str) -> None:
            if verb == "PATCH" and path.endswith(f"/hosts/{name}"):
                here.management.fail = lambda verb, path: None
                here.management.edit(HOSTS, name, {"metadata": {"annotations": {"owner": "was-here"}}})

        here.management.fail = somebody_writes
        here.management.edit(HOSTS, name, {"spec": {"chargedTo": charge}})
        here.hardware.edit(BMH, "h1", {"metadata": {"annotations": {"baremetalhost.metal3.io/paused": ""}}}, "metal3")
        await eventually(lambda: "chargedTo" not in here.management.get(HOSTS, name)["spec"])
        assert here.management.get(HOSTS, name)["metadata"]["annotations"] == {"owner": "was-here"}
        assert not here.management.conflicts
