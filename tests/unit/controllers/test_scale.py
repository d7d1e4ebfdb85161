"""Check that what controllers do for a Workload does not grow with the number of hosts. This is
counted in requests, not in seconds."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from controllers.cluster import connect
from controllers.consumer.controller import ConsumerController
from controllers.run import compose
from controllers.scheduler.controller import Scheduler
from controllers.workload.controller import WorkloadController
from tests.unit.controllers.clusters import BMH, HOSTS, WORKLOADS, bmh, controllers, two_clusters, workload
from tests.unit.controllers.fakeapi import eventually
from tests.unit.controllers.test_restarts import quiet, replica

if TYPE_CHECKING:
    from apiserver.client.client import Client

WANTED = 8


async def requests(count: int) -> Counter[str]:
    """Count the requests to the management cluster from the first Workload's creation until all
    run, with this many hosts."""
    async with two_clusters() as clusters:
        for number in range(count):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
        async with replica(clusters) as running:
            await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in clusters.management.all(HOSTS)) == count)
            await quiet(clusters, running)
            before = Counter(clusters.management.requests)
            for number in range(WANTED):
                clusters.management.put(WORKLOADS, workload(f"w{number}"))
            await eventually(lambda: all(clusters.phase(f"w{number}") == "Running" for number in range(WANTED)))
            return clusters.management.requests - before


async def test_the_requests_for_a_workload_do_not_grow_with_the_number_of_hosts() -> None:
    few, many = await requests(10), await requests(80)
    assert few["POST workloads/binding"] == many["POST workloads/binding"] == WANTED
    # The number of status writes depends on which changes were seen together. Unclaimed hosts have
    # no part in it.
    assert many.total() <= 1.5 * few.total()
    assert many["PUT hosts/offers"] <= WANTED


async def test_binding_goes_first_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = [True]
    monkeypatch.setattr(Scheduler, "is_binding", lambda self, namespace: busy[0])
    async with two_clusters() as clusters:
        for number in range(2):
            clusters.hardware.put(BMH, bmh(f"h{number}"))
        async with controllers(clusters):
            clusters.management.put(WORKLOADS, workload("first"))
            await eventually(lambda: clusters.phase("first") == "Bound")
            assert clusters.bmo.log == []
            busy[0] = False
            await eventually(lambda: clusters.phase("first") == "Running")
        busy[0] = True
        async with controllers(clusters, binding_patience=0.3):
            clusters.management.put(WORKLOADS, workload("second"))
            await eventually(lambda: clusters.phase("second") == "Running")


async def test_a_tenant_with_thousands_of_workloads_is_one_among_others(client: Client) -> None:
    """Check also a tenant that has a class to itself, and changes all of its Workloads again and
    again."""
    manager, _, _ = compose(client)
    made = {type(run.__self__): run.__self__ for run in manager._runnables if hasattr(run, "__self__")}
    for kind in (Scheduler, WorkloadController, ConsumerController):
        queue = made[kind].controller.queue
        for number in range(2000):
            queue.add(f"greedy/w{number}")
        queue.add("modest/web")
        assert "modest/web" in {await queue.get() for _ in range(2)}, kind
    assert made[Scheduler].is_binding("greedy")
    assert not made[Scheduler].is_binding("modest"), "what others bind keeps nothing of this one waiting"


async def test_the_scheduler_has_so_many_workers_in_all(client: Client) -> None:
    scheduler = Scheduler(connect(client), workers=2, total=5)
    for namespace in range(10):
        for number in range(3):
            scheduler.controller.queue.add(f"n{namespace}/w{number}")
    for _ in range(5):
        await scheduler.controller.queue.get()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(scheduler.controller.queue.get(), 0.05)
