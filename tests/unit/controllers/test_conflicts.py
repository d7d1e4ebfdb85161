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


async def all_are(clusters: TwoClusters, phase: str) -> None:
    await eventually(lambda: {clusters.phase(name) for name in names()} == {phase})


async def all_have_address(clusters: TwoClusters, address: str) -> None:
    await eventually(lambda: all(address in str(clusters.workload(name)["status"]["addresses"]) for name in names()))


async def lives(clusters: TwoClusters) -> None:
    """Create Workloads, install them, turn them off and on, change them at the source, and delete
    them."""
    for name in names():
        clusters.management.put(WORKLOADS, workload(name))
    await all_are(clusters, "Running")
    for hostname in ("one", "two", "three"):
        for name in names():
            clusters.hardware.edit(BMH, clusters.claimed(name), {"status": {"hardware": {"hostname": hostname}}}, "metal3")
        await all_have_address(clusters, hostname)
    for online, phase in ((False, "Stopped"), (True, "Running")):
        for name in names():
            clusters.management.edit(WORKLOADS, name, {"spec": {"online": online}}, "team-a")
        await all_are(clusters, phase)
    for name in names():
        clusters.request_deletion(name)
    await eventually(lambda: clusters.management.all(WORKLOADS) == [])
    await eventually(lambda: all(host["spec"].get("offers") for host in clusters.management.all(HOSTS)))


async def test_no_write_in_an_ordinary_life_is_a_conflict() -> None:
    async with two_clusters() as clusters:
        for number in range(COUNT):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
        clusters.management.watch_delay = LATE
        async with controllers(clusters):
            await lives(clusters)
        assert not clusters.management.conflicts
        assert not clusters.hardware.conflicts


async def test_a_workload_is_not_bound_twice_when_its_event_is_late() -> None:
    """Wake the scheduler between its binding and the event of that."""
    posts: list[str] = []
    async with two_clusters() as clusters, Client(clusters.management.kubeconfig) as client:
        for number in range(2):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
        manager, _, clusters.sources = compose(client)
        [scheduler] = [made for run in manager._runnables if isinstance(made := getattr(run, "__self__", None), Scheduler)]

        async def bind_and_wake(api: FakeApi, request: Any, address: Any, body: Any) -> Any:
            posts.append(address[2])
            done = await bind(api, request, address, body)
            scheduler.controller.queue.add("team-a/web")
            return done

        clusters.management.hooks["POST workloads/binding"] = bind_and_wake
        clusters.management.watch_delay = 10 * LATE
        task = asyncio.ensure_future(manager.run())
        try:
            await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in clusters.management.all(HOSTS)) == 2)
            clusters.management.put(WORKLOADS, workload("web"))
            await eventually(lambda: clusters.phase("web") == "Running")
            assert posts == ["web"]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await clusters.sources.close()


def phases(api: FakeApi, name: str) -> list[str]:
    """Return the phases that a watcher of the Workload has seen, one after the other."""
    objects = [obj for _, _, (resource, _, of), obj in api.history if (resource, of) == (WORKLOADS, name)]
    seen = [str((obj.get("status") or {}).get("phase", "")) for obj in objects]
    return [phase for before, phase in zip([None, *seen], seen, strict=False) if phase != before]


async def test_the_phases_of_an_installation_and_a_reboot_do_not_flap() -> None:
    """Report the host as BMO does: on while it is written to, off when that is done, and on again
    when the image boots."""
    async with two_clusters() as clusters:
        clusters.hardware.put(BMH, bmh("h0"))
        clusters.bmo.hold = True
        async with controllers(clusters):
            await eventually(lambda: clusters.management.all(HOSTS)[0]["spec"].get("offers"))
            clusters.management.put(WORKLOADS, workload("web"))
            await eventually(lambda: "image" in clusters.host("h0")["spec"])
            image = clusters.host("h0")["spec"]["image"]
            for state, powered in (("provisioning", True), *(("provisioned", on) for on in (True, False, True, False, True))):
                status = {"provisioning": {"state": state, "image": image}, "poweredOn": powered}
                clusters.hardware.edit(BMH, "h0", {"status": status}, "metal3")
                await shows_power(clusters, powered)
            clusters.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
            clusters.hardware.edit(BMH, "h0", {"status": {"poweredOn": False}}, "metal3")
            await eventually(lambda: clusters.phase("web") == "Stopped")
        assert phases(clusters.management, "web") == ["", "Bound", "Provisioning", "Running", "Stopped"]


async def shows_power(clusters: TwoClusters, powered: bool) -> None:
    await eventually(lambda: clusters.workload("web")["status"].get("poweredOn") is powered)
