"""Check what the scheduler does after a refused binding."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from controllers.cluster import connect
from controllers.runtime.manager import Manager
from controllers.scheduler.controller import ATTEMPTS, Scheduler
from tests.unit.controllers.clusters import CLASSES, HOSTS, NAMESPACES, WORKLOADS, host, workload, workload_class
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from apiserver.client.client import Client

Hook = Callable[[FakeApi, Any, Any, Any], Awaitable[Any]]
CHOSEN_FOR: dict[str, Any] = {
    "metadata": {"name": "w", "namespace": "a", "uid": "u", "generation": 3},
    "spec": {"requirements": {"cpuCount": 1}},
}


@pytest.mark.parametrize(
    ("metadata", "obsolete"),
    [({}, False), ({"generation": 5}, True), ({"uid": "later"}, True), ({"resourceVersion": "9"}, False)],
)
async def test_a_spec_that_was_changed_and_changed_back_is_not_the_hosts_failure(metadata: dict[str, Any], *, obsolete: bool) -> None:
    """Free the host where the Workload has changed: a tenant that changes its spec to and fro would
    keep all free hosts assumed."""

    async def find(*_: object) -> dict[str, Any]:
        return {**CHOSEN_FOR, "metadata": {**CHOSEN_FOR["metadata"], **metadata}}

    scheduler = Scheduler.__new__(Scheduler)
    scheduler._cluster = SimpleNamespace(client=SimpleNamespace(find=find))  # type: ignore[assignment] # it has what is used of the cluster
    assert await scheduler._is_obsolete(CHOSEN_FOR) is obsolete


async def test_a_host_that_a_quota_refuses_to_one_namespace_is_found_by_another(api: FakeApi, client: Client) -> None:
    """Let the other namespace's Workload look while the host is assumed. No event reports that the
    host is free again."""
    asked, answer, bound = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def bind(api: FakeApi, request: Any, address: Any, body: Any) -> Any:
        if address[1] != "team-a":
            bound.set()
            return {}
        asked.set()
        await answer.wait()
        raise Failure(403, "Forbidden", "exceeded quota: small")

    async with scheduling(api, client, bind) as scheduler:
        api.put(HOSTS, host("h0"))
        api.put(WORKLOADS, workload("w"))
        await asyncio.wait_for(asked.wait(), 60)
        await eventually(lambda: not scheduler._waking)
        api.put(WORKLOADS, workload("x", "team-b"))
        await eventually(lambda: api.get(WORKLOADS, "x", "team-b")["status"]["conditions"][0]["reason"] == "NoHostFits")
        answer.set()
        await asyncio.wait_for(bound.wait(), 60)


@pytest.mark.parametrize(("code", "reason"), [(403, "Forbidden"), (422, "Invalid")])
async def test_a_workload_whose_binding_a_policy_forbids_keeps_no_hosts_from_others(
    api: FakeApi, client: Client, code: int, reason: str
) -> None:
    """A ValidatingAdmissionPolicy without a reason of its own refuses with 422."""
    tried, bound = Counter[str](), asyncio.Event()

    async def policy(api: FakeApi, request: Any, address: Any, body: Any) -> Any:
        if address[1] != "team-a":
            bound.set()
            return {}
        tried[body["target"]["name"]] += 1
        raise Failure(code, reason, "ValidatingAdmissionPolicy 'x' denied request: not on a Sunday")

    async with scheduling(api, client, policy) as scheduler:
        for number in range(3):
            api.put(HOSTS, host(f"h{number}"))
        api.put(WORKLOADS, workload("w"))
        await eventually(lambda: api.get(WORKLOADS, "w", "team-a")["status"]["conditions"][0]["reason"] == "BindingForbidden")
        assert not scheduler._free.keeps_any()
        assert tried.total() == ATTEMPTS
        api.put(WORKLOADS, workload("x", "team-b"))
        await asyncio.wait_for(bound.wait(), 20)


async def test_many_workloads_without_quota_are_not_all_tried_whenever_a_host_becomes_free(api: FakeApi, client: Client) -> None:
    """Their tries are the controllers' requests, which no limit for the tenant holds back."""
    tries, names = Counter[str](), [f"w{number}" for number in range(60)]

    async def full(api: FakeApi, request: Any, address: Any, body: Any) -> Any:
        tries[address[2]] += 1
        raise Failure(403, "Forbidden", "exceeded quota: small")

    async with scheduling(api, client, full) as scheduler:
        for name in names:
            api.put(HOSTS, host(f"of-{name}"))
            api.put(WORKLOADS, workload(name))
        await eventually(lambda: tries.keys() == set(names))
        await eventually(lambda: not scheduler._waking and scheduler.controller.queue.idle)
        before = tries.total()
        for number in range(1, 6):
            api.put(HOSTS, host(f"h{number}"))
            await eventually(partial(scheduler._cluster.hosts.store.get, f"h{number}"))
            await eventually(lambda: not scheduler._waking)
            await eventually(lambda: scheduler.controller.queue.idle)
        assert tries.total() < before + 2 * len(names)


async def test_new_workloads_of_a_namespace_with_a_large_debt_wait_and_those_of_others_do_not(api: FakeApi, client: Client) -> None:
    """Otherwise, a tenant that deletes its Workloads and creates them again would never wait."""
    tried, bound = Counter[str](), asyncio.Event()

    async def bind(api: FakeApi, request: Any, address: Any, body: Any) -> Any:
        tried[address[1]] += 1
        bound.set()
        return {}

    async with scheduling(api, client, bind) as scheduler:
        scheduler._cpu_budget.add("team-a", 1000.0)
        for number in range(2):
            api.put(HOSTS, host(f"h{number}"))
        api.put(WORKLOADS, workload("w"))
        await eventually(lambda: "team-a/w" in scheduler._pending and scheduler.controller.queue.idle and scheduler._priority_queues._due)
        api.put(WORKLOADS, workload("x", "team-b"))
        await asyncio.wait_for(bound.wait(), 20)
        assert tried == {"team-b": 1}


@asynccontextmanager
async def scheduling(api: FakeApi, client: Client, bind: Hook) -> AsyncIterator[Scheduler]:
    """Run only a scheduler, for two namespaces."""
    api.hooks = {"POST workloads/binding": bind}
    for name in ("team-a", "team-b"):
        api.put(NAMESPACES, {"kind": "Namespace", "metadata": {"name": name}, "status": {"phase": "Active"}})
    api.put(CLASSES, workload_class())
    cluster, manager = connect(client), Manager()
    for informer in cluster.informers:
        manager.informer(informer)
    manager.add(cluster.events)
    manager.add(scheduler := Scheduler(cluster))
    task = asyncio.ensure_future(manager.run())
    try:
        await asyncio.wait_for(manager.started.wait(), 60)
        yield scheduler
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
