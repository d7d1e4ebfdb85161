"""Cover EtcdStore, and the watch cache over it, while etcd is killed, frozen, cut off, compacted,
or without a quorum.

Nothing acknowledged is lost, watches stay complete and in order, and calls end in time.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from storage.base import Compacted, Conflict, Delete, Event, KeyValue, Progress, Put, StorageError, Store, Unavailable
from storage.cache import WatchCache
from storage.etcd import EtcdStore
from storage.testing.harness import collect, opened, watching
from tests.integration.etcdserver import EtcdServer
from tests.integration.tcpproxy import proxied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from storage.base import Operation

TIMEOUT = 2.0
WRITERS = 8


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path / "etcd")
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def members(tmp_path: Path) -> Iterator[list[EtcdServer]]:
    """Start an etcd cluster of three members."""
    servers = [EtcdServer(tmp_path / "etcd", name) for name in ("m1", "m2", "m3")]
    for server in servers:
        server.peers = {other.name: other.peer_port for other in servers}
    try:
        for server in servers:
            server.start(wait=False)
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.kill()


def plain(*servers: EtcdServer) -> Store:
    return EtcdStore([server.endpoint for server in servers], prefix="/t", timeout=TIMEOUT, progress_interval=0.5)


def cached(*servers: EtcdServer) -> Store:
    return WatchCache(plain(*servers), patience=TIMEOUT)


async def available(call: Callable[[], Awaitable[object]], seconds: float = 30) -> object:
    """Repeat the call until it no longer raises Unavailable, and return its result."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except Unavailable:
            assert time.monotonic() < deadline, f"still not available after {seconds} s"
            await asyncio.sleep(0.02)


@dataclass
class Load:
    """Run writers that never write the same value twice, and record what was acknowledged to
    them."""

    store: Store
    acknowledged: dict[str, int] = field(default_factory=dict)
    unknown: int = 0
    failed: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, writer: int) -> None:
        for n in itertools.count():
            if self.stopping.is_set():
                return
            key = f"/w/{writer}/{n:05}"
            self.acknowledged[key] = await self.write_once(key, [Put(key, b"%d" % n, 0), Put(f"/latest/{writer}", b"%d" % n)])

    async def write_once(self, key: str, operations: Sequence[Operation]) -> int:
        """Commit the operations exactly once, and return their revision. Attempts in between may
        have had an unknown outcome."""
        unknown = False
        while True:
            try:
                return await self.store.commit(operations)
            except Unavailable:
                self.unknown += 1
                self.failed += 1
                unknown = True
            except Conflict as conflict:
                # A frozen etcd may find the first attempt in its buffers later, even after the read
                # that did not find it.
                assert unknown, "nobody else writes this key"
                return conflict.actual
            found = await self.read(key)
            if found is not None:
                return found.revision

    async def read(self, key: str, seconds: float = 60) -> KeyValue | None:
        """Return the stored objects, as soon as they can be read."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return await self.store.get(key)
            except Unavailable:
                self.failed += 1
                assert time.monotonic() < deadline, f"still not available after {seconds} s"
                await asyncio.sleep(0.02)

    async def wait_until_nothing_works(self, seconds: float = 60) -> None:
        """Wait until, since the last successful write, more calls have failed than were under
        way."""
        deadline, failed, done = time.monotonic() + seconds, self.failed, len(self.acknowledged)
        while self.failed <= failed + 2 * WRITERS:
            assert time.monotonic() < deadline, "writes go on"
            if len(self.acknowledged) > done:
                failed, done = self.failed, len(self.acknowledged)
            await asyncio.sleep(0.02)

    async def wait_for(self, count: int, seconds: float = 60) -> None:
        """Wait until `count` more writes were acknowledged."""
        wanted, deadline = len(self.acknowledged) + count, time.monotonic() + seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"only {len(self.acknowledged)} of {wanted} writes"
            await asyncio.sleep(0.01)


@pytest.fixture
def under_load(figure: Callable[[str, str, object], None]) -> Callable[[str, Store, Callable[[Load], Awaitable[None]]], Awaitable[Load]]:
    """Return check_under_load, extended to report its figures."""

    async def check(what: str, store: Store, disturb: Callable[[Load], Awaitable[None]]) -> Load:
        load = await check_under_load(store, disturb)
        what = f"etcd {what}, {WRITERS} writers, {'cached' if isinstance(store, WatchCache) else 'plain'}"
        figure(what, "writes acknowledged, each stored and watched once", len(load.acknowledged))
        figure(what, "times an outcome was unknown", load.unknown)
        return load

    return check


async def check_under_load(store: Store, disturb: Callable[[Load], Awaitable[None]]) -> Load:
    """Write and watch while `disturb` runs; then compare what was acknowledged, watched and
    stored."""
    async with opened(store):
        before = await store.current_revision()
        load = Load(store)
        final: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def follow() -> list[Event]:
            events: list[Event] = []
            async with asyncio.timeout(150):
                async for item in store.watch("/", before):
                    if isinstance(item, Event):
                        events.append(item)
                    elif final.done() and item.revision >= final.result():
                        return events
            raise AssertionError("the watch ended")

        watcher = asyncio.create_task(follow())
        async with asyncio.TaskGroup() as group:
            for n in range(WRITERS):
                group.create_task(load.write(n))
            await load.wait_for(20)
            await disturb(load)
            await load.wait_for(20)
            load.stopping.set()
        revision = await available(lambda: store.commit([Put("/final", b"")]))
        assert isinstance(revision, int)
        final.set_result(revision)
        events = await watcher
        seen = [(event.key, event.revision) for event in events if event.key.startswith("/w/")]
        assert len(seen) == len(set(seen))
        assert dict(seen) == load.acknowledged
        assert [event.revision for event in events] == sorted(event.revision for event in events)
        for writer in range(WRITERS):
            values = [int(event.value) for event in events if event.key == f"/latest/{writer}"]
            assert values == list(range(len(values)))
        page = await store.list("/w/")
        assert {item.key: item.revision for item in page.items} == load.acknowledged
        assert await collect(store, "/", before, revision) == [event for event in events if event.revision <= revision]
    return load


Check = Callable[[str, Store, Callable[[Load], Awaitable[None]]], Awaitable[Load]]


@pytest.mark.parametrize("make", [plain, cached])
async def test_nothing_acknowledged_is_lost_when_etcd_is_killed(
    etcd: EtcdServer, make: Callable[[EtcdServer], Store], under_load: Check
) -> None:
    async def kill_again_and_again(load: Load) -> None:
        for _ in range(4):
            await asyncio.to_thread(etcd.kill)
            await asyncio.to_thread(etcd.start)
            await load.wait_for(50)

    load = await under_load("killed 4 times", make(etcd), kill_again_and_again)
    assert load.unknown > 0


@pytest.mark.parametrize("make", [plain, cached])
async def test_a_freeze_delays_only(etcd: EtcdServer, make: Callable[[EtcdServer], Store], under_load: Check) -> None:
    async def freeze(load: Load) -> None:
        for _ in range(2):
            etcd.freeze()
            await load.wait_until_nothing_works()
            etcd.thaw()
            await load.wait_for(50)

    await under_load("frozen twice", make(etcd), freeze)


@pytest.mark.parametrize("make", [plain, cached])
async def test_a_partition_delays_only(etcd: EtcdServer, make: Callable[[EtcdServer], Store], under_load: Check) -> None:
    async with proxied(etcd.client_port) as proxy:

        async def cut(load: Load) -> None:
            for _ in range(4):
                proxy.cut()
                await load.wait_until_nothing_works()
                proxy.open = True
                await load.wait_for(50)

        await under_load("cut off 4 times", make(EtcdServer(etcd.folder, client_port=proxy.port)), cut)


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_the_others_take_over(members: list[EtcdServer], fault: str, under_load: Check) -> None:
    async def lose_one_after_the_other(load: Load) -> None:
        for server in members:
            await lose(fault, server)
            await load.wait_for(50)  # with two of three members
            await regain(fault, server)

    await under_load(f"of three members loses each once ({fault})", plain(*members), lose_one_after_the_other)


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_without_a_quorum_nothing_is_acknowledged_and_afterwards_everything_is_there(
    members: list[EtcdServer], fault: str, under_load: Check
) -> None:
    store = cached(*members)

    async def lose_two(load: Load) -> None:
        for server in members[1:]:
            await lose(fault, server)
        await load.wait_until_nothing_works()
        acknowledged = len(load.acknowledged)
        # A member alone does not know what the others have acknowledged meanwhile.
        with pytest.raises(Unavailable):
            await store.get("/latest/0")
        assert len(load.acknowledged) == acknowledged
        for server in members[1:]:
            await regain(fault, server)
        await load.wait_for(50)

    await under_load(f"of three members loses its quorum ({fault})", store, lose_two)


async def lose(fault: str, server: EtcdServer) -> None:
    if fault == "kill":
        await asyncio.to_thread(server.kill)
    else:
        server.freeze()


async def regain(fault: str, server: EtcdServer) -> None:
    if fault == "kill":
        await asyncio.to_thread(server.start, wait=False)
    else:
        server.thaw()


async def test_calls_end_in_time_while_etcd_is_frozen(etcd: EtcdServer) -> None:
    async with opened(plain(etcd)) as store:
        revision = await store.commit([Put("/a", b"1")])
        etcd.freeze()
        calls: Sequence[Callable[[], Awaitable[object]]] = (
            lambda: store.get("/a"),
            lambda: store.list("/"),
            lambda: store.commit([Put("/b", b"")]),
            store.current_revision,
            lambda: store.compact(revision),
            lambda: collect(store, "/", revision, revision),
        )
        started = time.monotonic()
        outcomes = await asyncio.gather(*(_outcome(call) for call in calls[:-1]))
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
        assert time.monotonic() - started < TIMEOUT + 1.5
        etcd.thaw()
        assert await available(lambda: store.get("/a")) == KeyValue("/a", b"1", revision)
        await calls[-1]()


async def test_closing_while_etcd_is_frozen(etcd: EtcdServer) -> None:
    store = plain(etcd)
    async with opened(store):
        revision = await store.commit([Put("/a", b"1")])
        waiting = asyncio.create_task(_outcome(lambda: collect(store, "/", revision, revision + 100)))
        await collect(store, "/", revision, revision)
        etcd.freeze()
        commit = asyncio.create_task(_outcome(lambda: store.commit([Put("/b", b"")])))
        await asyncio.sleep(0)
        started = time.monotonic()
        await store.close()
        assert time.monotonic() - started < TIMEOUT + 2.5
        assert isinstance(await commit, Unavailable)
        assert isinstance(await waiting, Unavailable)


async def test_starting_without_etcd_says_what_to_do(tmp_path: Path) -> None:
    store = plain(EtcdServer(tmp_path))
    with pytest.raises(Unavailable, match="check that it runs"):
        await store.start()


async def test_a_watch_that_was_cut_off_over_a_compaction_says_so(etcd: EtcdServer) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxied(etcd.client_port))
        direct = await stack.enter_async_context(opened(plain(etcd)))
        far = EtcdStore([f"127.0.0.1:{proxy.port}"], prefix="/t", timeout=TIMEOUT)
        await stack.enter_async_context(opened(far))
        before = await direct.commit([Put("/a", b"1"), Put("/b", b"1")])
        async with watching(far, "/", before - 1) as watch:
            # Two events, and the progress that ends their revision.
            assert [(await anext(watch)).revision for _ in range(3)] == [before] * 3
            proxy.cut()
            deleted = await direct.commit([Delete("/a")])
            await direct.compact(deleted)
            proxy.open = True
            with pytest.raises(Compacted) as caught:  # noqa: PT012 - an answer to a question for progress may have been on its way
                while isinstance(await anext(watch), Progress):
                    pass
        assert (caught.value.revision, caught.value.oldest) == (before, deleted)


async def test_a_cache_that_was_cut_off_over_a_compaction_is_right_again(etcd: EtcdServer) -> None:
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxied(etcd.client_port))
        direct = await stack.enter_async_context(opened(plain(etcd)))
        far = WatchCache(EtcdStore([f"127.0.0.1:{proxy.port}"], prefix="/t", timeout=TIMEOUT), patience=20)
        await stack.enter_async_context(opened(far))
        await direct.commit([Put("/a", b"1"), Put("/b", b"1")])
        assert len((await far.list("/")).items) == 2
        proxy.cut()
        with pytest.raises(Unavailable):
            await far.list("/")
        await direct.commit([Delete("/a")])
        last = await direct.commit([Put("/c", b"2"), Put("/b", b"2")])
        await direct.compact(last)
        proxy.open = True
        page = await available(lambda: far.list("/"))
        assert page == await direct.list("/")


async def test_two_stores_agree_at_every_read(etcd: EtcdServer) -> None:
    """Check that the cache of one process shows what another process was acknowledged. This holds
    also where others write to the same etcd."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(opened(cached(etcd)))
        two = await stack.enter_async_context(opened(cached(etcd)))
        foreign = await stack.enter_async_context(opened(EtcdStore([etcd.endpoint], prefix="/other")))
        for n in range(50):
            revision = await one.commit([Put("/k", b"%d" % n)])
            await foreign.commit([Put("/noise", b"%d" % n)])
            assert await two.get("/k") == KeyValue("/k", b"%d" % n, revision)


async def _outcome(call: Callable[[], Awaitable[object]]) -> object:
    try:
        return await call()
    except StorageError as error:
        return error
