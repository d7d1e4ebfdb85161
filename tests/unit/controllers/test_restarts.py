"""Check that controllers that restart, or take over from others, change nothing that was true: they
write nothing in either cluster."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.client import Client
from controllers.run import compose
from controllers.workloadclass.controller import ClassController
from tests.unit.controllers.clusters import (
    BMH,
    CLASSES,
    HOSTS,
    NAMESPACES,
    WORKLOADS,
    TwoClusters,
    bmh,
    two_clusters,
    workload,
    workload_class,
)
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

RUNNING = ("web", "db")


class Replica:
    """Hold one set of controllers; `made` has all of them."""

    def __init__(self, made: list[Any]) -> None:
        self.made = made

    def has_nothing_to_do(self) -> bool:
        """Return whether every key was processed, and every source read. Keys may wait for their
        time."""
        classes = next(one for one in self.made if isinstance(one, ClassController))
        sources = classes._sources
        ready = sources.names() and not any(sources.problem(name) for name in sources.names())
        return bool(ready) and all(one.controller.queue.idle for one in self.made)


@asynccontextmanager
async def replica(here: TwoClusters) -> AsyncIterator[Replica]:
    """Start controllers."""
    async with Client(here.management.kubeconfig) as client:
        manager, _, sources = compose(client)
        made = [run.__self__ for run in manager._runnables if hasattr(run, "__self__")]
        task = asyncio.ensure_future(manager.run())
        try:
            await asyncio.wait_for(manager.started.wait(), 10)
            yield Replica([one for one in made if hasattr(one, "controller")])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await sources.close()


async def fleet(here: TwoClusters) -> None:
    """Create Workloads that run, one that is stopped, one that waits for a host, and one whose
    release hangs. A second class has the same hosts."""
    for number in range(4):
        here.hardware.put(BMH, bmh(f"h{number}"))
    second = workload_class()
    second["metadata"]["name"] = "second"
    async with replica(here) as first:
        await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in here.management.all(HOSTS)) == 4)
        here.management.put(CLASSES, second)
        for name in (*RUNNING, "off", "going"):
            here.management.put(WORKLOADS, workload(name, online=name != "off"))
        await eventually(lambda: all(here.phase(name) == "Running" for name in (*RUNNING, "going")))
        here.management.put(WORKLOADS, workload("waits"))
        here.bmo.hold = True
        here.request_deletion("going")
        await eventually(lambda: here.condition("waits", "Bound")["reason"] == "NoHostFits")
        await eventually(lambda: "emptied" in here.condition("going", "Ready")["message"])
        await eventually(lambda: "HostsOverlap" in str(here.management.get(CLASSES, "second")["status"]))
        await eventually(lambda: here.management.get(CLASSES, "metal")["status"]["hosts"].get("claimed") == 4)
        await eventually(first.has_nothing_to_do)
        await quiet(here)


async def quiet(here: TwoClusters) -> None:
    """Wait until nothing was written for longer than any delay of the controllers."""
    revision = -1
    while revision != here.management.revision + here.hardware.revision:
        revision = here.management.revision + here.hardware.revision
        await asyncio.sleep(0.8)


def refuse(times: int) -> Callable[[str, str], Failure | None]:
    """Return a rule that fails this many reads of the source."""
    left = [times]

    def fail(verb: str, path: str) -> Failure | None:
        if path.endswith("/baremetalhosts") and verb == "GET" and left[0]:
            left[0] -= 1
            return Failure(503, "ServiceUnavailable")
        return None

    return fail


def written(api: FakeApi, since: int) -> list[tuple[str, str]]:
    """Return what was written since that revision, events of Workloads included."""
    return [(address[0], address[2]) for revision, _, address, _ in api.history if revision > since]


@pytest.mark.parametrize("times", [0, 6], ids=["at-once", "source-late"])
async def test_a_fleet_sees_no_write_when_its_controllers_are_started_again(times: int) -> None:
    async with two_clusters() as here:
        await fleet(here)
        before = here.management.revision, here.hardware.revision
        for _ in range(2):
            here.hardware.fail = refuse(times)
            async with replica(here) as again:
                await eventually(again.has_nothing_to_do)
                await quiet(here)
                assert here.hardware.requests["GET baremetalhosts"] > times
        assert written(here.management, before[0]) == []
        assert written(here.hardware, before[1]) == []
        # The controllers also work: they carry out what is asked for.
        here.bmo.hold = False
        async with replica(here):
            here.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
            here.management.put(NAMESPACES, {"kind": "Namespace", "metadata": {"name": "team-c"}, "status": {"phase": "Active"}})
            here.hardware.edit(BMH, "h0", {"spec": {"online": False}}, "metal3")
            await eventually(lambda: here.phase("web") == "Stopped")


async def test_a_source_that_fails_for_a_moment_is_not_reported_and_one_that_stays_away_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_clusters() as here:
        await fleet(here)
        here.hardware.fail = lambda verb, path: Failure(503, "ServiceUnavailable")
        before = here.management.revision, here.hardware.requests["GET baremetalhosts"]
        async with replica(here):
            await eventually(lambda: here.hardware.requests["GET baremetalhosts"] > before[1] + 2)
            assert all(here.condition(name, "Ready")["status"] == "True" for name in RUNNING)
            assert written(here.management, before[0]) == []
            monkeypatch.setattr("controllers.workloadclass.providers.GRACE", 0.0)
            monkeypatch.setattr("controllers.workload.controller.GRACE", 0.0)
            for name in RUNNING:
                here.management.edit(WORKLOADS, name, {"metadata": {"labels": {"look": "again"}}}, "team-a")
            await eventually(lambda: {here.condition(name, "Ready")["reason"] for name in RUNNING} == {"SourceUnavailable"}, 60)
