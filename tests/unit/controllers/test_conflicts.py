"""Check that our own writers do not conflict: nothing that they write in an ordinary life of a
Workload is refused as a conflict."""

from __future__ import annotations

import asyncio
from typing import Any

from apiserver.client.client import Client
from controllers.run import compose
from controllers.scheduler.controller import Scheduler
from tests.unit.controllers.claiming import bind
from tests.unit.controllers.clusters import BMH, HOSTS, WORKLOADS, TwoClusters, bmh, controllers, two_clusters, workload
from tests.unit.controllers.fakeapi import FakeApi, eventually

LATE = 0.03
"""Seconds until a watch delivers what a write has done: a dozen times as long as the write
takes."""
COUNT = 4


def names() -> list[str]:
    return [f"w{number}" for number in range(COUNT)]


async def all_are(here: TwoClusters, phase: str) -> None:
    await eventually(lambda: {here.phase(name) for name in names()} == {phase})


async def all_have_address(here: TwoClusters, address: str) -> None:
    await eventually(lambda: all(address in str(here.workload(name)["status"]["addresses"]) for name in names()))


async def lives(here: TwoClusters) -> None:
    """Create Workloads, install them, turn them off and on, change them at the source, and delete
    them."""
    for name in names():
        here.management.put(WORKLOADS, workload(name))
    await all_are(here, "Running")
    for hostname in ("one", "two", "three"):
        for name in names():
            here.hardware.edit(BMH, here.claimed(name), {"status": {"hardware": {"hostname": hostname}}}, "metal3")
        await all_have_address(here, hostname)
    for online, phase in ((False, "Stopped"), (True, "Running")):
        for name in names():
            here.management.edit(WORKLOADS, name, {"spec": {"online": online}}, "team-a")
        await all_are(here, phase)
    for name in names():
        here.request_deletion(name)
    await eventually(lambda: here.management.all(WORKLOADS) == [])
    await eventually(lambda: all(host["spec"].get("offers") for host in here.management.all(HOSTS)))


async def test_no_write_in_an_ordinary_life_is_a_conflict() -> None:
    async with two_clusters() as here:
        for number in range(COUNT):
            here.hardware.put(BMH, bmh(f"h{number}"))
        here.management.watch_delay = LATE
        async with controllers(here):
            await lives(here)
        assert not here.management.conflicts
        assert not here.hardware.conflicts


async def test_a_workload_is_not_bound_twice_when_its_event_is_late() -> None:
    """Wake the scheduler between its binding and the event of that."""
    posts: list[str] = []
    async with two_clusters() as here, Client(here.management.kubeconfig) as client:
        for number in range(2):
            here.hardware.put(BMH, bmh(f"h{number}"))
        manager, _, here.sources = compose(client)
        [scheduler] = [made for run in manager._runnables if isinstance(made := getattr(run, "__self__", None), Scheduler)]

        async def bind_and_wake(api: FakeApi, request: Any, address: Any, body: Any) -> Any:
            posts.append(address[2])
            done = await bind(api, request, address, body)
            scheduler.controller.queue.add("team-a/web")
            return done

        here.management.hooks["POST workloads/binding"] = bind_and_wake
        here.management.watch_delay = 10 * LATE
        task = asyncio.ensure_future(manager.run())
        try:
            await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in here.management.all(HOSTS)) == 2)
            here.management.put(WORKLOADS, workload("web"))
            await eventually(lambda: here.phase("web") == "Running")
            assert posts == ["web"]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await here.sources.close()


def phases(api: FakeApi, name: str) -> list[str]:
    """Return the phases that a watcher of the Workload has seen, one after the other."""
    objects = [obj for _, _, (resource, _, of), obj in api.history if (resource, of) == (WORKLOADS, name)]
    seen = [str((obj.get("status") or {}).get("phase", "")) for obj in objects]
    return [phase for before, phase in zip([None, *seen], seen, strict=False) if phase != before]


async def test_the_phases_of_an_installation_and_a_reboot_do_not_flap() -> None:
    """Report the host as BMO does: on while it is written to, off when that is done, and on again
    when the image boots."""
    async with two_clusters() as here:
        here.hardware.put(BMH, bmh("h0"))
        here.bmo.hold = True
        async with controllers(here):
            await eventually(lambda: here.management.all(HOSTS)[0]["spec"].get("offers"))
            here.management.put(WORKLOADS, workload("web"))
            await eventually(lambda: "image" in here.host("h0")["spec"])
            image = here.host("h0")["spec"]["image"]
            for state, powered in (("provisioning", True), *(("provisioned", on) for on in (True, False, True, False, True))):
                status = {"provisioning": {"state": state, "image": image}, "poweredOn": powered}
                here.hardware.edit(BMH, "h0", {"status": status}, "metal3")
                await shows_power(here, powered)
            here.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
            here.hardware.edit(BMH, "h0", {"status": {"poweredOn": False}}, "metal3")
            await eventually(lambda: here.phase("web") == "Stopped")
        assert phases(here.management, "web") == ["", "Bound", "Provisioning", "Running", "Stopped"]


async def shows_power(here: TwoClusters, powered: bool) -> None:
    await eventually(lambda: here.workload("web")["status"].get("poweredOn") is powered)
