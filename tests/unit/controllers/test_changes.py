"""Bound what one change of one real host causes, in reconciles and requests, however many hosts
there are."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from controllers.host.controller import HostController
from controllers.runtime.manager import Manager
from controllers.workload.controller import WorkloadController
from tests.unit.controllers.clusters import BMH, CLASSES, HOSTS, WORKLOADS, TwoClusters, bmh, controllers, two_clusters, workload
from tests.unit.controllers.fakeapi import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHANGES = 3


@dataclass
class Spy:
    """Count reconciles by controller and key."""

    made: list[Any] = field(default_factory=list)
    reconciles: Counter[tuple[str, str]] = field(default_factory=Counter)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        add = Manager.add

        def added(manager: Manager, runnable: Any) -> None:
            self.made.append(runnable)
            add(manager, runnable)

        monkeypatch.setattr(Manager, "add", added)
        for kind in (HostController, WorkloadController):
            monkeypatch.setattr(kind, "reconcile", self._counting(kind))

    def _counting(self, kind: Any) -> Any:
        reconcile = kind.reconcile

        async def counted(controller: Any, key: str) -> Any:
            self.reconciles[kind.__name__, key] += 1
            return await reconcile(controller, key)

        return counted

    def settled(self, clusters: TwoClusters) -> bool:
        """Return whether the controllers have seen all Hosts and Workloads as they are, and have
        nothing to do at once."""
        cluster = next(made for made in self.made if isinstance(made, WorkloadController))._cluster
        seen = {obj["metadata"]["resourceVersion"] for informer in (cluster.hosts, cluster.workloads) for obj in informer.store}
        stored = {obj["metadata"]["resourceVersion"] for resource in (HOSTS, WORKLOADS) for obj in clusters.management.all(resource)}
        return seen == stored and all(made.controller.queue.idle for made in self.made if hasattr(made, "controller"))


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    made = Spy()
    made.install(monkeypatch)
    return made


@asynccontextmanager
async def one_running_of(count: int, spy: Spy) -> AsyncIterator[TwoClusters]:
    """Start this many hosts, one of which runs the Workload "w"; nothing is left to do."""
    async with two_clusters() as clusters:
        for number in range(count):
            clusters.hardware.put(BMH, bmh(f"h{number:03}"))
        async with controllers(clusters):
            await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in clusters.management.all(HOSTS)) == count)
            clusters.management.put(WORKLOADS, workload("w"))
            await eventually(lambda: clusters.phase("w") == "Running" and spy.settled(clusters))
            await eventually(lambda: clusters.management.get(CLASSES, "metal")["status"]["hosts"]["claimed"] == 1)
            yield clusters


async def change(clusters: TwoClusters, spy: Spy, hostname: str) -> None:
    """Change the real host's name, and wait until its Workload shows it and all that follows is
    over."""
    clusters.hardware.edit(BMH, clusters.claimed("w"), {"status": {"hardware": {"hostname": hostname}}}, "metal3")
    await eventually(lambda: hostname in [item["address"] for item in clusters.workload("w")["status"]["addresses"]])
    await eventually(lambda: spy.settled(clusters))


@pytest.mark.parametrize("count", [3, 30])
async def test_a_change_is_two_writes_however_many_hosts_there_are(count: int, spy: Spy) -> None:
    async with one_running_of(count, spy) as clusters:
        await change(clusters, spy, "before")
        asked, seen = Counter(clusters.management.requests), Counter(spy.reconciles)
        for number in range(CHANGES):
            await change(clusters, spy, f"after-{number}")
        asked, seen = clusters.management.requests - asked, spy.reconciles - seen
        assert asked["PATCH hosts/status"] == CHANGES
        assert asked["PATCH workloads/status"] == CHANGES
        assert asked["PUT hosts/offers"] == asked["GET hosts"] == asked["GET workloads"] == 0
        # A key may have been delayed at the beginning, and be processed once more by now. The
        # changes do not cause that.
        assert len([key for kind, key in seen if kind == "HostController"]) < 3, "not all hosts are looked at"
        assert seen.total() <= 6 * CHANGES


async def test_what_a_class_says_of_itself_is_no_reason_to_look_at_its_hosts(spy: Spy) -> None:
    async with one_running_of(10, spy) as clusters:
        seen = Counter(spy.reconciles)
        for number in range(CHANGES):
            clusters.management.edit(CLASSES, "metal", {"status": {"hosts": {"free": 1000 + number}}})
            await eventually(lambda: clusters.management.get(CLASSES, "metal")["status"]["hosts"]["free"] == 9)
        await eventually(lambda: spy.settled(clusters))
        assert (spy.reconciles - seen).total() < 10, "not as many as there are hosts"


async def test_a_change_that_the_host_does_not_show_is_looked_at_for_its_workload(spy: Spy) -> None:
    async with one_running_of(3, spy) as clusters:
        name = clusters.claimed("w")
        clusters.hardware.edit(BMH, name, {"spec": {"userData": {"name": "somebody-elses"}}}, "metal3")
        await eventually(lambda: "userData" not in clusters.host(name)["spec"])
