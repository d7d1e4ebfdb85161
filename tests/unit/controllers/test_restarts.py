"""Check that controllers that restart, or take over from others, change nothing that was true: they
write nothing in either cluster."""

from __future__ import annotations

import asyncio
from collections import deque
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
SOON = 0.8
"""The seconds within which a key that waits is due soon. What waits for a grace period has more."""
POLLS = 40
"""The number of looks at resting controllers: the tasks that deliver changes run in between."""


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

    def rests(self) -> bool:
        """Return whether there is nothing to do, and no key becomes due soon."""
        queues = [one.controller.queue for one in self.made]
        return self.has_nothing_to_do() and all(due - queue.now() > SOON for queue in queues for due, _ in queue._timers.values())


@asynccontextmanager
async def replica(clusters: TwoClusters, **options: Any) -> AsyncIterator[Replica]:
    """Start controllers. `options` are those of `compose`."""
    async with Client(clusters.management.kubeconfig) as client:
        manager, _, sources = compose(client, **options)
        made = [run.__self__ for run in manager._runnables if hasattr(run, "__self__")]
        task = asyncio.ensure_future(manager.run())
        try:
            await asyncio.wait_for(manager.started.wait(), 60)
            yield Replica([one for one in made if hasattr(one, "controller")])
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await sources.close()


async def fleet(clusters: TwoClusters) -> None:
    """Create Workloads that run, one that is stopped, one that waits for a host, and one whose
    release hangs. A second class has the same hosts."""
    for number in range(4):
        clusters.hardware.put(BMH, bmh(f"h{number}"))
    second = workload_class()
    second["metadata"]["name"] = "second"
    async with replica(clusters) as first:
        await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in clusters.management.all(HOSTS)) == 4)
        clusters.management.put(CLASSES, second)
        for name in (*RUNNING, "off", "going"):
            clusters.management.put(WORKLOADS, workload(name, online=name != "off"))
        await eventually(lambda: all(clusters.phase(name) == "Running" for name in (*RUNNING, "going")))
        clusters.management.put(WORKLOADS, workload("waits"))
        clusters.bmo.hold = True
        clusters.request_deletion("going")
        await eventually(lambda: clusters.condition("waits", "Bound")["reason"] == "NoHostFits")
        await eventually(lambda: "emptied" in clusters.condition("going", "Ready")["message"])
        await eventually(lambda: "HostsOverlap" in str(clusters.management.get(CLASSES, "second")["status"]))
        await eventually(lambda: clusters.management.get(CLASSES, "metal")["status"]["hosts"].get("claimed") == 4)
        await quiet(clusters, first)


async def quiet(clusters: TwoClusters, running: Replica) -> None:
    """Wait until the controllers rest, and what they wrote was delivered to them and caused no
    more."""
    seen: deque[int] = deque(maxlen=POLLS)

    def rests() -> bool:
        seen.append(clusters.management.revision + clusters.hardware.revision)
        if not running.rests():
            seen.clear()
        return len(seen) == POLLS and len(set(seen)) == 1

    await eventually(rests)


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
    async with two_clusters() as clusters:
        await fleet(clusters)
        before = clusters.management.revision, clusters.hardware.revision
        for _ in range(2):
            clusters.hardware.fail = refuse(times)
            async with replica(clusters) as again:
                await quiet(clusters, again)
                assert clusters.hardware.requests["GET baremetalhosts"] > times
        assert written(clusters.management, before[0]) == []
        assert written(clusters.hardware, before[1]) == []
        # The controllers also work: they carry out what is asked for.
        clusters.bmo.hold = False
        async with replica(clusters):
            clusters.management.edit(WORKLOADS, "web", {"spec": {"online": False}}, "team-a")
            clusters.management.put(NAMESPACES, {"kind": "Namespace", "metadata": {"name": "team-c"}, "status": {"phase": "Active"}})
            clusters.hardware.edit(BMH, "h0", {"spec": {"online": False}}, "metal3")
            await eventually(lambda: clusters.phase("web") == "Stopped")


async def test_a_source_that_fails_for_a_moment_is_not_reported_and_one_that_stays_away_is() -> None:
    async with two_clusters() as clusters:
        await fleet(clusters)
        clusters.hardware.fail = lambda verb, path: Failure(503, "ServiceUnavailable")
        before = clusters.management.revision, clusters.hardware.requests["GET baremetalhosts"]
        async with replica(clusters):
            await eventually(lambda: clusters.hardware.requests["GET baremetalhosts"] > before[1] + 2)
            assert all(clusters.condition(name, "Ready")["status"] == "True" for name in RUNNING)
            assert written(clusters.management, before[0]) == []
        async with replica(clusters, source_grace=0.0):
            await eventually(lambda: {clusters.condition(name, "Ready")["reason"] for name in RUNNING} == {"SourceUnavailable"}, 60)
