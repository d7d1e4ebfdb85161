"""Check that the commits that change a Host record its use, and what the task beside them does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.client.clock import seconds_of, timestamp
from apiserver.registry.catalog import management_catalog
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from apiserver.registry.usagerecord import KEPT, USAGERECORDS
from storage.base import Delete, Full, TooLarge
from storage.cache import WatchCache
from tests.crashes.memory import Data, MemoryStore
from tests.unit.apiserver.admission.test_machinequota import Replica
from tests.unit.apiserver.registry.claims.test_history import bind, release, running, unbind
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, NamedNamespaces, Registries, report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("apiserver.registry.claims.usagerecords.time", made)
    monkeypatch.setattr("apiserver.registry.usagerecord.time", made)
    return made


def record(registries: Registries, host: str) -> dict[str, Any]:
    spec: dict[str, Any] = registries.catalog.usage.get("", host).object()["spec"]
    return spec


def counted(registries: Registries, host: str) -> list[tuple[str, int, int]]:
    return [(one["namespace"], one["allocatedSeconds"], one["poweredOnSeconds"]) for one in record(registries, host).get("intervals", ())]


async def test_a_life_is_recorded_from_the_binding_until_others_can_have_the_host(named: Registries, clock: Clock) -> None:
    host = await named.add_host()
    assert named.catalog.usage.find("", host) is None
    await bind(named, host)
    current = {"namespace": "tenant-a", "namespaceUID": "uid-tenant-a", "className": "metal", "poweredOn": False}
    assert record(named, host) == {"host": "node-0", "current": {**current, "since": timestamp(int(clock.now))}}
    clock.now += 10
    await named.report(host, {"available": False, "report": running()})
    clock.now += 100
    await release(named, host)
    clock.now += 5
    await named.report(host, {"available": True, "report": report()})
    assert counted(named, host) == [("tenant-a", 10, 0), ("tenant-a", 105, 105)]
    assert "current" not in record(named, host)


async def test_a_claim_through_the_view_is_recorded(named: Registries, clock: Clock) -> None:
    host = await named.add_host()
    await named.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)
    assert record(named, host)["current"]["namespace"] == "tenant-a"


async def test_a_dry_run_and_a_refused_claim_record_nothing(named: Registries) -> None:
    host = await named.add_host()
    dry = Context(UserInfo("somebody"), dry_run=True)
    await named.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "web"}, "spec": {"className": "metal"}})
    await named.workloads.connect(dry, "tenant-a", "web", "binding", {"target": {"name": host}})
    assert named.catalog.usage.find("", host) is None


async def test_reports_that_change_nothing_of_it_do_not_write_the_record(named: Registries, clock: Clock) -> None:
    host = await named.add_host()
    await bind(named, host)
    revision = named.catalog.usage.get("", host).revision
    clock.now += 60
    await named.report(host, {"available": False, "report": running(poweredOn=False)})
    assert named.catalog.usage.get("", host).revision == revision


async def test_a_record_outlives_its_host_and_goes_on_with_a_new_one(named: Registries, clock: Clock) -> None:
    host = await named.add_host()
    await bind(named, host)
    clock.now += 30
    await unbind(named, host)
    await named.hosts.delete(CONTEXT, "", host, DeleteOptions())
    assert counted(named, host) == [("tenant-a", 30, 0)]
    await named.catalog.usage.settle()
    assert counted(named, host) == [("tenant-a", 30, 0)]
    assert await named.add_host() == host
    await bind(named, host, "other")
    clock.now += 5
    await unbind(named, host)
    assert counted(named, host) == [("tenant-a", 30, 0), ("tenant-a", 5, 0)]


async def test_a_record_is_deleted_when_its_host_is_gone_for_long(named: Registries, clock: Clock) -> None:
    host = await named.add_host()
    await bind(named, host)
    clock.now += 30
    await unbind(named, host)
    await named.hosts.delete(CONTEXT, "", host, DeleteOptions())
    clock.now += KEPT
    await named.catalog.usage.settle()
    assert named.catalog.usage.find("", host) is not None
    clock.now += 1
    await named.catalog.usage.settle()
    assert named.catalog.usage.find("", host) is None


async def test_a_claim_of_an_earlier_version_gets_its_record_from_the_history(named: Registries, clock: Clock) -> None:
    """A release does not depend on it: a full store accepts no new key."""
    first, second = await named.add_host("node-0"), await named.add_host("node-1")
    for host, name in ((first, "one"), (second, "two")):
        await bind(named, host, name)
        entry = named.catalog.usage.get("", host)
        await named.hosts.cache.commit([Delete(entry.key, entry.revision)])
    bound_at = named.hosts.get("", first).object()["status"]["history"][0]["boundAt"]
    clock.now = seconds_of(bound_at) + 90.0
    await unbind(named, second)
    assert named.catalog.usage.find("", second) is None
    await named.catalog.usage.settle()
    await named.catalog.usage.settle()
    assert counted(named, first) == [("tenant-a", 90, 0)]
    assert record(named, first)["current"]["namespace"] == "tenant-a"


async def test_a_record_that_cannot_be_written_is_shown_until_it_is(named: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    host = await named.add_host()
    await bind(named, host)
    usage = named.catalog.usage
    entry = usage.get("", host)
    await usage.cache.commit([Delete(entry.key, entry.revision)])
    for error in (Full("no room"), TooLarge("too large")):

        async def refused(_: object, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr(usage.cache, "commit", refused)
            await usage.settle()
        assert not usage.written
    await usage.settle()
    assert usage.written
    assert usage.find("", host) is not None


async def test_what_a_server_of_an_earlier_version_did_not_record_is_corrected(named: Registries, clock: Clock) -> None:
    """During an upgrade, a host may change hands by a replica that keeps no records."""
    host = await named.add_host()
    await bind(named, host)
    entry = named.hosts.get("", host)
    changed = entry.object()
    changed["spec"]["claimRef"] = {"namespace": "tenant-b", "namespaceUID": "uid-tenant-b", "name": "x", "uid": "x"}
    await named.hosts.cache.commit([named.hosts.put(entry, changed)])
    clock.now += 20
    await named.catalog.usage.settle()
    assert counted(named, host) == [("tenant-a", 20, 0)]
    assert record(named, host)["current"]["namespace"] == "tenant-b"


async def test_power_that_a_server_of_an_earlier_version_reported_is_corrected(named: Registries, clock: Clock) -> None:
    host = await named.add_host()
    await bind(named, host)
    await named.report(host, {"available": False, "report": running()})
    clock.now += 10
    entry = named.hosts.get("", host)
    changed = entry.object()
    changed["status"]["report"]["status"]["poweredOn"] = False
    await named.hosts.cache.commit([named.hosts.put(entry, changed)])
    await named.catalog.usage.settle()
    clock.now += 20
    await unbind(named, host)
    assert counted(named, host) == [("tenant-a", 10, 10), ("tenant-a", 20, 0)]


async def test_claims_during_a_downgrade_are_counted_by_the_history(named: Registries, clock: Clock) -> None:
    """The earlier version keeps no records, but the history of claims."""
    host = await named.add_host()
    await bind(named, host)
    record_entry = named.catalog.usage.get("", host)
    before, begin = record_entry.object(), int(clock.now)
    await unbind(named, host)
    entry, written = named.hosts.get("", host), named.catalog.usage.get("", host)
    changed = entry.object()
    claim = {**changed["status"]["history"][0], "boundAt": timestamp(begin), "releasedAt": timestamp(begin + 100)}
    other = {**claim, "namespace": "tenant-b", "namespaceUID": "uid-tenant-b", "uid": "x"}
    other |= {"boundAt": timestamp(begin + 200), "releasedAt": timestamp(begin + 250)}
    changed["status"]["history"] = [claim, other]
    await named.hosts.cache.commit([named.hosts.put(entry, changed), named.catalog.usage.put(written, before)])
    clock.now += 86400
    await named.catalog.usage.settle()
    assert counted(named, host) == [("tenant-a", 100, 0), ("tenant-b", 50, 0)]
    assert "current" not in record(named, host)


async def test_a_host_that_vanished_without_a_word_is_released(named: Registries, clock: Clock) -> None:
    host = await named.add_host()
    await bind(named, host)
    entry = named.hosts.get("", host)
    await named.hosts.cache.commit([Delete(entry.key, entry.revision)])
    clock.now += 9
    await named.catalog.usage.settle()
    assert counted(named, host) == [("tenant-a", 9, 0)]


@pytest.fixture
async def replicas() -> AsyncIterator[list[Registries]]:
    """Yield the registries of two servers over one store."""
    store = MemoryStore(Data())
    await store.start()
    caches = [WatchCache(Replica(store)) for _ in range(2)]
    catalogs = [management_catalog(cache, namespaces=NamedNamespaces()) for cache in caches]
    for cache in caches:
        await cache.start()
    yield [Registries(catalog) for catalog in catalogs]
    await store.close()
    for cache in caches:
        await cache.close()


async def together(replicas: list[Registries], *writes: Awaitable[None]) -> None:
    """Write all at once. Each server has seen what was written before, as it does before a
    request."""
    await asyncio.gather(*writes, *(server.catalog.usage.settle() for server in replicas))
    for server in replicas:
        await server.hosts.cache.confirm()


async def test_several_replicas_count_each_second_once(replicas: list[Registries], clock: Clock) -> None:
    """Both write at once, and retry what conflicts."""
    hosts = [await replicas[0].add_host(f"node-{number}") for number in range(4)]
    await together(replicas)
    for cycle in range(5):
        pairs = [(replicas[(number + cycle) % 2], host, f"w-{cycle}-{number}") for number, host in enumerate(hosts)]
        for server, host, name in pairs:
            await bind(server, host, name)
        await together(replicas)
        clock.now += 10
        reported = {"available": False, "report": running()}
        await together(replicas, *(server.report(host, reported) for server in replicas for host in hosts))
        clock.now += 30
        await together(replicas, *(release(replicas[number % 2], host, name) for number, (_, host, name) in enumerate(pairs)))
        free = {"available": True, "report": report()}
        await together(replicas, *(server.report(host, free) for server in replicas for host in hosts))
        clock.now += 60
    for host in hosts:
        assert counted(replicas[1], host) == [("tenant-a", 10, 0), ("tenant-a", 30, 30)] * 5
        assert "current" not in record(replicas[1], host)


def test_no_client_writes_records() -> None:
    assert USAGERECORDS.verbs == {"get", "list", "watch"}
    assert not USAGERECORDS.subresources
