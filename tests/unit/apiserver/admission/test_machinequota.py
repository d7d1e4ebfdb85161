"""Check that no order of writes, and no number of replicas, gets a namespace more machines than its
quotas say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.admission.chain import AdmissionChain
from apiserver.admission.machinequota import MachineQuota
from apiserver.admission.quotaturns import PREFIX, QuotaTurns
from apiserver.admission.resourcequota import QuotaUnavailable
from apiserver.apis.host import host_name
from apiserver.apis.quantity import parse_quantity
from apiserver.apis.status import ApiError
from apiserver.registry.catalog import management_catalog
from apiserver.registry.claims import quotausage
from apiserver.registry.claims.quotausage import of_namespace
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from storage.base import Store
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.crashes.memory import Data, MemoryStore
from tests.unit.apiserver.registry.conftest import CONSUMER, Registries, report

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Awaitable, Sequence
    from pathlib import Path

    from storage.base import Event, KeyValue, Operation, Page, Progress, Usage

HOSTS, CPU, MEMORY = (f"workload.metal3.io/{resource}" for resource in ("hosts", "cpu", "memory"))
METAL, VIRTUAL = (f"{name}.workloadclass.workload.metal3.io/hosts" for name in ("metal", "virtual"))
HARDWARE = {"cpu": {"arch": "x86_64", "count": 16}, "ramMebibytes": 65536}


class Limited:
    """Hold one quota of tenant-a, which other clients change."""

    def __init__(self) -> None:
        self.hard = dict[str, str]()
        self.trouble = False

    async def get(self, namespace: str, *, live: bool = False) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        if self.trouble:
            raise QuotaUnavailable("a secret reason")
        return [{"metadata": {"name": "q"}, "status": {"hard": self.hard}}] if namespace == "tenant-a" else []

    async def put_status(self, quota: dict[str, Any]) -> None:
        raise AssertionError("nothing is charged")


class Replica(Store):
    """The same store, as another server sees it."""

    exclusive = False

    def __init__(self, inner: Store) -> None:
        self._inner = inner

    async def start(self) -> None:
        """Do nothing: the other server has started it."""

    async def close(self) -> None:
        """Do nothing: the other server closes it."""

    async def get(self, key: str) -> KeyValue | None:
        return await self._inner.get(key)

    async def list(self, prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
        return await self._inner.list(prefix, start=start, limit=limit, at=at)

    async def commit(self, operations: Sequence[Operation]) -> int:
        return await self._inner.commit(operations)

    async def current_revision(self) -> int:
        return await self._inner.current_revision()

    async def compact(self, revision: int) -> None:
        await self._inner.compact(revision)

    def watch(self, prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        return self._inner.watch(prefix, after)

    def usage(self) -> Usage:
        return self._inner.usage()


class Server(Registries):
    """The registries of one server behind the quotas."""

    def __init__(self, store: Store, quotas: Limited) -> None:
        self.cache, chain = WatchCache(store, patience=1.0), AdmissionChain([])
        super().__init__(management_catalog(self.cache, admission=chain))
        self.keys = QuotaTurns(self.cache)
        chain.add(MachineQuota(quotas, self.catalog.workloads.claims, self.keys))
        self.quotas = quotas

    async def create(self, name: str, *, dry_run: bool = False, **spec: Any) -> None:
        wanted = {"metadata": {"name": name}, "spec": {"className": "metal", **spec}}
        await self.workloads.create(Context(UserInfo("u"), dry_run=dry_run), "tenant-a", wanted)

    async def bind(self, name: str, host: str) -> None:
        target = {"target": {"name": host_name(f"uid-{host}")}}
        await self.workloads.connect(Context(UserInfo("u")), "tenant-a", name, "binding", target)

    async def claim(self, name: str) -> None:
        await self.patch_view("tenant-a", name, Context(UserInfo("u")), consumerRef={**CONSUMER, "name": f"m-{name}"})

    async def change(self, name: str, **spec: Any) -> None:
        context = Context(UserInfo("u"))
        await self.workloads.update(context, "tenant-a", name, lambda old: {**old, "spec": {**old["spec"], **spec}})

    async def delete(self, name: str) -> None:
        await self.workloads.delete(Context(UserInfo("u")), "tenant-a", name, DeleteOptions())

    def used(self) -> Counter[str]:
        return of_namespace(self.catalog.workloads.claims, "tenant-a")

    def turns(self) -> set[str]:
        return {key for key in self.cache._collections[-1]._contents._items if key.startswith(PREFIX)}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(SQLiteStore(tmp_path / "db", synchronous="off"), Limited())
    await made.cache.start()
    await made.keys._key("tenant-a")  # otherwise the first writes wait for the secret, and their order changes
    for index in range(6):
        host = await made.add_host(f"node-{index}")
        await made.report(host, {"available": True, "report": report(f"node-{index}", hardware=HARDWARE)})
    yield made
    await made.cache.close()


async def refusals(*writes: Awaitable[None]) -> list[str]:
    """Run all writes at once, and return the messages of those that a quota refuses."""
    results = await asyncio.gather(*writes, return_exceptions=True)
    errors = [result for result in results if result is not None]
    assert all(isinstance(error, ApiError) and error.code == 403 for error in errors), errors
    return [str(error.message) for error in errors if isinstance(error, ApiError)]


async def test_creations_of_a_class_are_limited_and_those_of_another_are_not(server: Server) -> None:
    server.quotas.hard = {METAL: "3"}
    found = await refusals(*(server.create(f"w-{index}") for index in range(40)))
    assert len(found) == 37
    assert found[0].endswith(f" is forbidden: exceeded quota: q, requested: {METAL}=1, used: {METAL}=3, limited: {METAL}=3")
    await server.create("other", className="virtual")
    assert (server.used()[METAL], server.used()[VIRTUAL], server.used()[HOSTS]) == (3, 1, 4)
    assert (await refusals(server.create("dry", dry_run=True)))[0] == found[0].replace("w-3", "dry")
    await server.delete("w-0")
    assert len(await refusals(server.create("again"), server.create("too-many"))) == 1


async def test_claims_through_the_view_count_what_their_hosts_have(server: Server) -> None:
    server.quotas.hard = {CPU: "40", MEMORY: "1Ti"}
    found = await refusals(*(server.claim(f"node-{index}") for index in range(6)))
    assert len(found) == 4
    assert f"requested: {CPU}=16, used: {CPU}=32, limited: {CPU}=40" in found[0]
    assert (server.used()[CPU], server.used()[MEMORY], server.used()[METAL]) == (32, 128 * 2**30, 2)


async def test_a_binding_adds_what_the_host_has_beyond_what_was_asked_for(server: Server) -> None:
    server.quotas.hard = {CPU: "31", MEMORY: "128Gi"}
    await server.create("one", requirements={"cpuCount": 8, "ram": "16Gi"})
    await server.create("two", requirements={"cpuCount": 8, "ram": "16Gi"})
    assert (server.used()[CPU], server.used()[MEMORY]) == (16, 2**35)
    await server.bind("one", "node-0")
    assert server.used()[CPU] == 24
    (message,) = await refusals(server.bind("two", "node-1"))
    assert f"requested: {CPU}=8, used: {CPU}=24, limited: {CPU}=31" in message
    server.quotas.hard[CPU] = "32"
    await server.bind("two", "node-1")
    await server.bind("two", "node-1")
    assert (server.used()[CPU], server.used()[MEMORY]) == (32, 2**37)


async def test_concurrent_bindings_do_not_exceed_a_quota_together(server: Server) -> None:
    server.quotas.hard = {CPU: "32"}
    for index in range(6):
        await server.create(f"w-{index}")
    assert len(await refusals(*(server.bind(f"w-{index}", f"node-{index}") for index in range(6)))) == 4
    assert server.used()[CPU] == 32


async def test_a_changed_class_counts_in_the_new_one_only(server: Server) -> None:
    server.quotas.hard = {METAL: "1", VIRTUAL: "1", CPU: "20"}
    await server.create("one", requirements={"cpuCount": 4})
    await server.create("two", className="virtual")
    (message,) = await refusals(server.change("two", className="metal"))
    assert f"exceeded quota: q, requested: {METAL}=1, used: {METAL}=1, limited: {METAL}=1" in message
    (message,) = await refusals(server.change("one", requirements={"cpuCount": 21}))
    assert f"requested: {CPU}=17, used: {CPU}=4, limited: {CPU}=20" in message
    await server.change("one", requirements={"cpuCount": 20})
    await server.delete("two")
    await server.change("one", className="virtual")
    await server.create("three", className="metal")
    assert (server.used()[METAL], server.used()[VIRTUAL], server.used()[CPU]) == (1, 1, 20)


async def test_a_smaller_quota_ends_nothing_and_keeps_admitted_workloads_bindable(server: Server) -> None:
    await server.create("one", requirements={"cpuCount": 16, "ram": "64Gi"})
    await server.create("two")
    server.quotas.hard = {METAL: "1", CPU: "16"}
    await server.bind("one", "node-0")
    await server.change("one", online=False)
    assert len(await refusals(server.bind("two", "node-1"), server.create("three"))) == 2


async def test_a_host_that_outlives_its_workload_counts_until_it_is_taken_again(server: Server) -> None:
    server.quotas.hard = {METAL: "1", CPU: "16"}
    await server.claim("node-0")
    host = host_name("uid-node-0")
    await server.delete("node-0")
    cleared = {"spec": {"claimRef": None}}
    await server.hosts.update(Context(UserInfo("c")), "", host, lambda old: {**old, "spec": {**old["spec"], **cleared["spec"]}})
    entry = server.workloads.get("tenant-a", "node-0")
    bare = {**entry.object(), "metadata": {k: v for k, v in entry.object()["metadata"].items() if k != "finalizers"}}
    await server.workloads.update(Context(UserInfo("c")), "tenant-a", "node-0", lambda old: bare)
    assert server.workloads.find("tenant-a", "node-0") is None
    assert (server.used()[METAL], server.used()[CPU]) == (1, 16)
    assert len(await refusals(server.create("more"), server.claim("node-1"))) == 2
    dirty = {"available": True, "dirtyFor": "tenant-a", "dirtyForUID": "u", "report": report("node-0", hardware=HARDWARE)}
    await server.report(host, dirty)
    await server.create("more")
    assert len(await refusals(server.bind("more", "node-1"))) == 1, "it was admitted for the other host"
    await server.report(host, {**dirty, "dirtyFor": None, "dirtyForUID": None})
    await server.bind("more", "node-1")
    assert (server.used()[METAL], server.used()[CPU]) == (1, 16)


async def test_replicas_that_share_a_store_do_not_exceed_a_quota_together(server: Server) -> None:
    server.quotas.hard = {METAL: "5"}
    other = Server(Replica(server.cache._inner), server.quotas)
    await other.cache.start()
    found = await refusals(*((server, other)[index % 2].create(f"w-{index}") for index in range(20)))
    await other.cache.confirm()
    await other.cache.close()
    assert (len(found), server.used()[METAL], other.used()[METAL]) == (15, 5, 5)


async def test_which_namespaces_share_a_turn_is_known_to_one_store_and_to_all_of_its_replicas(server: Server) -> None:
    """Otherwise, a namespace with a chosen name would make the writes of another one conflict."""
    names = [f"team-{number}" for number in range(8)]
    other, foreign = WatchCache(Replica(server.cache._inner)), WatchCache(MemoryStore(Data()))
    turns = {cache: QuotaTurns(cache) for cache in (other, foreign)}
    for cache in turns:
        await cache.start()
    own = [await server.keys._key(name) for name in names]
    assert [await turns[other]._key(name) for name in names] == own
    assert [await turns[foreign]._key(name) for name in names] != own
    for cache in turns:
        await cache.close()


async def test_equal_workloads_are_added_up_at_once(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """The count is repeated in each write of a namespace with thousands of Workloads."""
    server.quotas.hard = {CPU: "100"}
    for number in range(20):
        await server.create(f"w-{number}", requirements={"cpuCount": 1})
    read = list[str]()

    def parse(text: str) -> Any:
        read.append(text)
        return parse_quantity(text)

    monkeypatch.setattr(quotausage, "parse_quantity", parse)
    await server.create("last", requirements={"cpuCount": 2})
    assert 0 < len(read) < 20


async def test_a_write_that_fails_or_is_given_up_keeps_no_turn(server: Server) -> None:
    server.quotas.hard = {METAL: "2"}
    await server.create("one")
    with pytest.raises(ApiError, match="already exists"):
        await server.create("one")
    tasks = [asyncio.create_task(server.create(f"w-{index}")) for index in range(5)]
    for _ in range(3):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await refusals(server.create("last"))
    assert server.used()[METAL] == 2
    assert len(server.turns()) == 1


async def test_writes_without_a_quota_take_no_turn(server: Server) -> None:
    await server.create("one")
    server.quotas.hard = {VIRTUAL: "0", "pods": "0"}
    await server.create("two")
    assert server.turns() == set()


async def test_an_unreadable_quota_refuses_and_says_nothing_of_its_cause(server: Server) -> None:
    server.quotas.trouble = True
    with pytest.raises(ApiError) as error:
        await server.create("one")
    assert (error.value.code, "secret" in error.value.message) == (503, False)


@pytest.mark.parametrize("ram", ["9e999", "0.1m", "1e-999", "123456789012345678901234567890Ei"])
async def test_absurd_requirements_are_counted_in_no_time(server: Server, ram: str) -> None:
    server.quotas.hard = {MEMORY: "1Gi"}
    found = await refusals(server.create("one", requirements={"ram": ram, "cpuCount": 2**63 - 1}))
    assert len(found) == (0 if ram in ("0.1m", "1e-999") else 1)
