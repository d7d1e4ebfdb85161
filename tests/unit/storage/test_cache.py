"""Cover what the watch cache adds to a Store: collections, waiting, and continuing when the inner
watch breaks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from storage.base import Compacted, Corrupt, Delete, Event, FutureRevision, KeyValue, Put, Unavailable
from storage.cache import WatchCache
from storage.collection import Change, Collection
from storage.sqlite import SQLiteStore
from storage.testing.harness import collect, opened, watching
from storage.transfer import MARK
from tests.unit.storage.fakes import ScriptedStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from storage.base import Page, Progress
    from storage.ring import Subscription


def item(key: str, value: bytes, revision: int) -> KeyValue:
    if value == b"bad":
        raise ValueError("not mine")
    return KeyValue(key, value, revision)


def made(store: ScriptedStore, history: int = 100, patience: float = 5.0) -> tuple[WatchCache, Collection[KeyValue], Collection[KeyValue]]:
    cache = WatchCache(store, history=history, patience=patience)
    return cache, cache.collection("/a/", item), cache.collection("/b/", item)


async def caught_up(cache: WatchCache, store: ScriptedStore) -> None:
    await cache.wait_for(store.revision, 60)


async def changes(subscription: Subscription[Change[KeyValue]]) -> list[tuple[str, str, int]]:
    return [(change.type, change.item.key, change.revision) for change in await subscription.next(5)]


async def test_everything_is_loaded_in_pages_of_one_state_and_then_what_has_happened_since() -> None:
    store = ScriptedStore()
    for n in range(2500):
        store.write(Put(f"/a/{n:04}", b"x"))
    cache, a, b = made(store, history=100)
    async with opened(cache):
        assert ([i.key for i in a.range()], len(b)) == ([f"/a/{n:04}" for n in range(2500)], 0)
        assert store.lists == 5
        assert a.revision == b.revision == cache.revision == store.revision
        assert await changes(a.subscribe(a.revision - 100)) == [("put", f"/a/{n:04}", n + 2) for n in range(2400, 2500)]
        with pytest.raises(Compacted):
            a.subscribe(a.revision - 101)


async def test_the_history_of_all_collections_is_bounded_by_bytes() -> None:
    store = ScriptedStore()
    cache = WatchCache(store, history_bytes=1_000_000)
    a, b = cache.collection("/a/", item), cache.collection("/b/", item, weigh=lambda item: 10_000)
    async with opened(cache):
        first = await cache.commit([Put("/a/1", b""), Put("/b/1", b"")])
        for _ in range(50):
            last = await cache.commit([Put("/a/1", b"x" * 50_000), Put("/b/2", b"")])
        # Writes to other collections do not cost b its history.
        assert len(b.subscribe(b.floor).take()) > 20
        with pytest.raises(Compacted):
            a.subscribe(first)
        kept = a.subscribe(a.floor).take()
        assert 3 < len(kept) <= 10  # each event counts together with the state before it
        assert kept[-1].revision == last


async def test_changes_from_before_the_start_tell_the_state_before() -> None:
    store = ScriptedStore()
    store.write(Put("/a/1", b"old"), Put("/a/2", b"old"))
    before = store.revision
    second, third = store.write(Put("/a/1", b"new"), Put("/b/1", b"")), store.write(Delete("/a/2"))
    cache, a, b = made(store, history=2)
    async with opened(cache):
        assert a.subscribe(before).take() == [
            Change("put", KeyValue("/a/1", b"new", second), KeyValue("/a/1", b"old", before), second),
            Change("delete", KeyValue("/a/2", b"old", third), KeyValue("/a/2", b"old", before), third),
        ]
        assert [i.value for i in a.range()] == [b"new"]
        assert await changes(b.subscribe(before)) == [("put", "/b/1", second)]


async def test_the_history_begins_where_the_store_has_it() -> None:
    store = ScriptedStore()
    for n in range(20):
        store.write(Put(f"/a/{n:02}", b""))
    store.compacted = 15
    cache, a, _ = made(store)
    async with opened(cache):
        assert len(a) == 20
        assert len(a.subscribe(15).take()) == store.revision - 15
        with pytest.raises(Compacted):
            a.subscribe(14)


async def test_compaction_while_the_history_is_read_costs_the_history_only(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ScriptedStore()
    for n in range(20):
        store.write(Put(f"/a/{n:02}", b""))
    cache, a, _ = made(store)
    watched = store.watch

    def overtaken(prefix: str, after: int) -> AsyncIterator[Event | Progress]:
        if store.watches < 5:
            store.compacted = after + 1
        return watched(prefix, after)

    monkeypatch.setattr(store, "watch", overtaken)
    async with opened(cache):
        assert ([i.key for i in a.range()], a.revision) == ([f"/a/{n:02}" for n in range(20)], store.revision)
        with pytest.raises(Compacted):
            a.subscribe(store.revision - 1)


async def test_what_could_not_be_decoded_once_and_can_now_is_no_hindrance() -> None:
    for last in (Put("/a/1", b"good"), Delete("/a/1")):
        store = ScriptedStore()
        store.write(Put("/a/1", b"bad"))
        store.write(Put("/a/2", b"x"))
        store.write(last)
        # The bad value is in the state that is loaded, or comes with the history.
        for history in (1, 100):
            cache, a, _ = made(store, history=history)
            async with opened(cache):
                assert [i.value for i in a.range()] == ([b"good", b"x"] if isinstance(last, Put) else [b"x"])
            store.closed = False


async def test_an_unfinished_migration_is_not_served() -> None:
    store = ScriptedStore()
    store.write(Put(MARK, b""), Put("/a/1", b""))
    cache, _, _ = made(store)
    with pytest.raises(Corrupt, match="run metal3-workloads migrate"):
        await cache.start()
    assert store.closed


@pytest.mark.parametrize("value", [b"2", b"10", b"", b"-1", b"1.5"])
async def test_what_a_later_version_wrote_in_another_format_is_not_served(value: bytes) -> None:
    store = ScriptedStore()
    store.write(Put("format", value), Put("/a/1", b""))
    cache, _, _ = made(store)
    with pytest.raises(Corrupt, match="restore the backup"):
        await cache.start()
    assert store.closed


async def test_the_present_format_is_served_whether_it_is_named_or_not() -> None:
    store = ScriptedStore()
    store.write(Put("format", b"1"), Put("/a/1", b"v"))
    cache, a, _ = made(store)
    async with opened(cache):
        assert a.get("/a/1") is not None


async def test_a_commit_is_seen_by_synchronous_reads_in_all_collections() -> None:
    cache, a, b = made(ScriptedStore())
    async with opened(cache):
        for n in range(10):
            revision = await cache.commit([Put("/a/1", b"%d" % n), Put("/b/1", b"%d" % n)])
            assert a.get("/a/1") == KeyValue("/a/1", b"%d" % n, revision)
            assert b.get("/b/1") == KeyValue("/b/1", b"%d" % n, revision)


async def test_half_a_commit_is_never_seen() -> None:
    store = ScriptedStore()
    cache, a, b = made(store)
    async with opened(cache):
        subscription = a.subscribe(cache.revision)
        store.write(Put("/a/1", b"1"), *(Put(f"/b/{n}", b"1") for n in range(100)))
        while not await subscription.next(5):
            pass
        assert len(b) == 100


async def test_items_are_decoded_once(tmp_path: Path) -> None:
    decoded: list[tuple[str, int]] = []

    def decode(key: str, value: bytes, revision: int) -> object:
        decoded.append((key, revision))
        return object()

    cache = WatchCache(SQLiteStore(tmp_path / "db", synchronous="off"))
    collection = cache.collection("/a/", decode)
    async with opened(cache):
        first = await cache.commit([Put("/a/1", b"")])
        second = await cache.commit([Put("/a/1", b""), Put("/other", b"")])
        served = collection.get("/a/1")
        assert collection.range() == [served]
        assert collection.get("/a/1") is served
        third = await cache.commit([Delete("/a/1")])
        assert decoded == [("/a/1", first), ("/a/1", second), ("/a/1", third)]


async def test_the_revision_of_a_subscription_serves_as_bookmark() -> None:
    cache, a, _ = made(ScriptedStore())
    async with opened(cache):
        subscription = a.subscribe(cache.revision)
        revision = await cache.commit([Put("/b/1", b"")])
        assert subscription.revision == revision
        unread = await cache.commit([Put("/a/1", b"")])
        await cache.commit([Put("/b/2", b"")])
        assert subscription.revision == revision
        assert await changes(subscription) == [("put", "/a/1", unread)]
        assert subscription.revision == cache.revision


async def test_a_slow_subscriber_is_cut() -> None:
    cache, a, b = made(ScriptedStore(), history=5)
    async with opened(cache):
        slow, other = a.subscribe(cache.revision), b.subscribe(cache.revision)
        for n in range(6):
            await cache.commit([Put(f"/a/{n}", b"")])
        with pytest.raises(Compacted):
            await slow.next(1)
        assert await other.next(0) == []  # the subscription has missed nothing


async def test_collections_are_made_before_the_start() -> None:
    cache = WatchCache(ScriptedStore())
    async with opened(cache):
        with pytest.raises(RuntimeError, match="before"):
            cache.collection("/a/", item)


@pytest.mark.parametrize("history", [1, 100])
async def test_what_cannot_be_decoded_stops_the_start(history: int) -> None:
    store = ScriptedStore()
    store.write(Put("/a/1", b"bad"))
    store.write(Put("/a/2", b""))
    cache, _, _ = made(store, history=history)
    with pytest.raises(Corrupt, match="/a/1 at revision 2"):
        await cache.start()
    assert store.closed


async def test_waiting_for_a_revision() -> None:
    store = ScriptedStore()
    cache, _, _ = made(store)
    async with opened(cache):
        await cache.wait_for(cache.revision, 0)
        waiting = [asyncio.create_task(cache.wait_for(store.revision + n, 60)) for n in (2, 1)]
        await asyncio.sleep(0)
        store.write(Put("/a/1", b""))
        await waiting[1]
        assert not waiting[0].done()
        store.write(Put("/c", b""))
        await waiting[0]
        with pytest.raises(FutureRevision) as caught:
            await cache.wait_for(store.revision + 1, 0.01)
        assert (caught.value.revision, caught.value.current) == (store.revision + 1, store.revision)
        last = asyncio.create_task(cache.wait_for(store.revision + 1, None))
        await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await last


async def test_a_shared_store_is_asked_before_reads() -> None:
    store = ScriptedStore(own=False)
    cache, a, _ = made(store)
    async with opened(cache):
        revision = store.write(Put("/a/1", b"theirs"))  # another process writes
        assert await cache.get("/a/1") == KeyValue("/a/1", b"theirs", revision)
        store.write(Delete("/a/1"))
        assert [*(await cache.list("/")).items] == []
        revision = store.write(Put("/a/2", b""))
        assert await cache.confirm() == revision
        assert a.get("/a/2") is not None


async def test_a_read_that_cannot_be_confirmed_fails() -> None:
    store = ScriptedStore(own=False)
    cache, a, _ = made(store, patience=0.05)
    async with opened(cache):
        store.silent = True
        store.write(Put("/a/1", b""))
        with pytest.raises(Unavailable, match="behind"):
            await cache.confirm()
        with pytest.raises(Unavailable, match="committed as revision 3"):
            await cache.commit([Put("/a/2", b"")])
        assert a.range() == []  # the known state is still served


async def test_a_broken_watch_is_resumed_without_loss() -> None:
    store = ScriptedStore()
    cache, a, _ = made(store)
    async with opened(cache):
        subscription = a.subscribe(cache.revision)
        first = await cache.commit([Put("/a/1", b"")])
        store.silent = True
        store.fail(Unavailable("gone"))
        store.fail(Unavailable("still gone"))
        second = store.write(Put("/a/2", b""), Delete("/a/1"))
        store.silent = False
        await caught_up(cache, store)
        assert await changes(subscription) == [("put", "/a/1", first), ("put", "/a/2", second), ("delete", "/a/1", second)]
        assert (store.watches, store.lists) == (3, 1)


async def test_after_a_gap_every_reader_lists_again() -> None:
    store = ScriptedStore()
    for n in range(6):
        store.write(Put(f"/a/{n}", b"old"))
    cache, a, b = made(store)
    async with opened(cache):
        last = cache.revision
        subscription, raw = a.subscribe(last), asyncio.create_task(collect(cache, "/", last, last + 1000))
        await asyncio.sleep(0)
        store.silent = True
        store.write(Delete("/a/1"), Put("/a/9", b"new"))
        store.write(Put("/a/3", b"new"), Put("/b/1", b""))
        store.compacted = store.revision
        store.silent = False
        store.fail(Compacted(last, store.revision))  # this fails the cache's own watch
        store.fail(Compacted(last, store.revision))
        await caught_up(cache, store)
        with pytest.raises(Compacted):
            subscription.take()
        with pytest.raises(Compacted):
            await raw
        assert a.revision == b.revision == store.revision
        assert [*a.range(), *b.range()] == [kv for _, kv in sorted(store.state.items())]
        with pytest.raises(Compacted):  # no subscription may start in the gap
            a.subscribe(store.revision - 1)
        following = a.subscribe(a.revision)
        revision = await cache.commit([Put("/a/0", b"on")])
        assert await changes(following) == [("put", "/a/0", revision)]


async def test_the_state_before_is_served_until_another_one_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    store = ScriptedStore()
    store.write(Put("/a/1", b"old"))
    cache, a, _ = made(store)
    async with opened(cache):
        store.silent = True
        for n in range(2000):
            store.write(Put(f"/a/{n:04}", b"new"))
        store.compacted = store.revision
        listed, seen = store.list, list[int]()

        async def slowly(prefix: str, *, start: str | None = None, limit: int = 0, at: int = 0) -> Page:
            seen.append(len(a.range()))
            return await listed(prefix, start=start, limit=limit, at=at)

        monkeypatch.setattr(store, "list", slowly)
        store.fail(Compacted(2, store.revision))
        store.silent = False
        await caught_up(cache, store)
        assert len(seen) > 1
        assert ({*seen}, len(a.range())) == ({1}, 2001)


@pytest.mark.parametrize("noticed", ["by its watch", "by a list"])
async def test_a_store_that_went_back_is_not_served(noticed: str, caplog: pytest.LogCaptureFixture) -> None:
    store = ScriptedStore()
    cache, a, _ = made(store)
    async with opened(cache):
        await cache.commit([Put("/a/1", b"")])
        await cache.commit([Put("/a/2", b"")])
        waiting = asyncio.create_task(cache.wait_for(9, None))
        subscription = a.subscribe(cache.revision)
        store.revision = 2
        store.fail(Compacted(0, 2) if noticed == "by a list" else Unavailable("gone"))
        with pytest.raises(Unavailable, match="older state was put in its place"):
            await waiting
        with pytest.raises(Unavailable, match="Stop all servers"):
            subscription.take()
        with pytest.raises(Unavailable):
            await cache.commit([Put("/a/3", b"")])
        assert cache.failure is not None
        assert "revision 2, and 3" in cache.failure
    assert "cannot continue" in caplog.text


async def test_a_defect_ends_the_cache_instead_of_freezing_it(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ScriptedStore()
    cache, a, _ = made(store)
    async with opened(cache):
        subscription = a.subscribe(cache.revision)
        monkeypatch.setattr(cache, "_apply", lambda events, strict: 1 // 0)
        with pytest.raises(Unavailable, match="ZeroDivisionError"):
            await cache.commit([Put("/a/1", b"")])
        with pytest.raises(Unavailable, match="restart"):
            await subscription.next(1)
        with pytest.raises(Unavailable, match="restart"):
            await cache.get("/a/1")
    assert "cannot continue" in caplog.text


async def test_closing_ends_subscriptions() -> None:
    cache, a, _ = made(ScriptedStore())
    await cache.start()
    waiting = asyncio.create_task(a.subscribe(cache.revision).next(None))
    await asyncio.sleep(0)
    await cache.close()
    with pytest.raises(Unavailable):
        await waiting


async def test_a_watch_may_begin_before_what_memory_has(tmp_path: Path) -> None:
    cache = WatchCache(SQLiteStore(tmp_path / "db", synchronous="off", recent=1), history=4)
    async with opened(cache):
        before = cache.revision
        for n in range(20):
            await cache.commit([Put(f"/{n:02}", b""), Put("/same", b"%d" % n)])
        events: list[Event] = []
        async with watching(cache, "/", before) as watch:
            while len(events) < 60:
                if isinstance(got := await anext(watch), Event):
                    events.append(got)
                elif got.revision == cache.revision and len(events) < 60:
                    await cache.commit([Put(f"/{len(events)}", b""), Put("/same", b"")])
    assert [event.revision for event in events] == [before + 1 + n // 2 for n in range(60)]


async def test_a_watch_shows_nothing_that_reads_do_not_see_yet() -> None:
    store = ScriptedStore()
    cache, _, _ = made(store, history=1)
    async with opened(cache):
        before = cache.revision
        for n in range(3):
            await cache.commit([Put(f"/a/{n}", b"")])
        store.deaf = 1  # the cache's own watch is late
        late = store.write(Put("/a/late", b""))
        async with watching(cache, "/", before) as watch:
            events = [await anext(watch) for _ in range(3)]
            assert all(isinstance(event, Event) for event in events)
            waiting = asyncio.ensure_future(anext(watch))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
            store.deaf = 0
            store.wake()
            event = await waiting
            assert (event.revision, cache.revision) == (late, late)
