"""Test watches: completeness from any point, also under concurrent writes, and how they end."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import cast

import pytest

from storage.base import Compacted, Delete, Event, FutureRevision, Operation, Progress, Put, Store
from storage.testing.harness import Harness, brief, collect, put, watching


class WatchTests(Harness):
    async def test_events_tell_before_and_after(self, store: Store) -> None:
        before = await store.current_revision()
        revisions = [await store.commit([operation]) for operation in (Put("/k", b"1"), Put("/k", b"2"), Delete("/k"), Put("/k", b"3"))]
        assert await collect(store, "/k", before, revisions[-1]) == [
            Event("put", "/k", b"1", revisions[0], None),
            Event("put", "/k", b"2", revisions[1], b"1"),
            Event("delete", "/k", b"2", revisions[2], b"2"),
            Event("put", "/k", b"3", revisions[3], None),
        ]

    async def test_a_watch_starts_after_any_revision(self, store: Store) -> None:
        revisions = [await store.current_revision()]
        for n in range(12):
            operations: list[Operation] = [Put(f"/x/{n}", b""), Put("/x/same", b"%d" % n), Delete(f"/x/{n - 2}")]
            revisions.append(await store.commit(operations))
        everything = await collect(store, "/", revisions[0], revisions[-1])
        assert len(everything) == 12 * 2 + 10
        for after in revisions:
            assert await collect(store, "/", after, revisions[-1]) == [event for event in everything if event.revision > after]

    async def test_a_watch_sees_its_prefix_only(self, store: Store) -> None:
        before = await store.current_revision()
        revision = await store.commit([Put("/a/1", b""), Put("/b/1", b""), Put("/a", b""), Put("/a0", b""), Put("/a/2", b"")])
        assert brief(await collect(store, "/a/", before, revision)) == [("put", "/a/1"), ("put", "/a/2")]

    async def test_a_waiting_watch_gets_events_and_then_progress(self, store: Store) -> None:
        before = await store.current_revision()
        async with watching(store, "/", before) as watch:
            for n in range(5):
                revision = await store.commit([Put(f"/{n}", b""), Put("/same", b"%d" % n)])
                events: list[Event] = []
                async for item in watch:
                    if isinstance(item, Event):
                        events.append(item)
                    elif item.revision >= revision:
                        break
                assert [(event.key, event.revision) for event in events] == [(f"/{n}", revision), ("/same", revision)]

    async def test_an_idle_watch_makes_progress(self, store: Store) -> None:
        revision = await put(store, "/other")
        started = time.monotonic()
        async with watching(store, "/mine/", revision) as watch:
            for _ in range(3):  # the first one comes at once
                item = await anext(watch)
                assert isinstance(item, Progress)
                assert item.revision >= revision
        assert time.monotonic() - started < 2 * self.progress_within

    async def test_nothing_is_lost_or_doubled_while_many_write(self, store: Store) -> None:
        before = await store.current_revision()
        done = asyncio.Event()

        async def write(writer: int) -> None:
            for n in range(40):
                await store.commit([Put(f"/w/{writer}", b"%d" % n), Put(f"/w/{writer}/{n}", b"")])

        async def watch(prefix: str, delay: int) -> list[Event]:
            for _ in range(delay):
                await put(store, "/delay")  # start a few turns later than the previous one
            events: list[Event] = []
            async with watching(store, prefix, before) as stream:
                async for item in stream:
                    if isinstance(item, Event):
                        events.append(item)
                    elif done.is_set() and item.revision >= final:
                        return events
            return events

        watchers = [asyncio.create_task(watch("/w/", n * 3)) for n in range(6)] + [asyncio.create_task(watch("/w/2", 4))]
        async with asyncio.timeout(60):
            await asyncio.gather(*(write(n) for n in range(6)))
            final = await put(store, "/end")
            done.set()
            final = await put(store, "/end")
            *full, part = await asyncio.gather(*watchers)
        assert len(full[0]) == 6 * 40 * 2
        assert [event.revision for event in full[0]] == sorted(event.revision for event in full[0])
        assert len({(event.key, event.revision) for event in full[0]}) == len(full[0])
        assert all(events == full[0] for events in full)
        assert part == [event for event in full[0] if event.key.startswith("/w/2")]
        values = [event.value for event in full[0] if event.key == "/w/3"]
        assert values == [b"%d" % n for n in range(40)]

    async def test_a_watch_catches_up_with_a_long_history(self, store: Store) -> None:
        before = await store.current_revision()
        for n in range(0, 1500, 100):
            revision = await store.commit([Put(f"/long/{n + m:04}", b"%d" % m) for m in range(100)])
        events = await collect(store, "/long/", before, revision)
        assert [event.key for event in events] == [f"/long/{n:04}" for n in range(1500)]

    async def test_a_reader_that_does_not_read_blocks_no_writer(self, store: Store) -> None:
        before = await put(store, "/first")
        async with watching(store, "/", before - 1) as slow:
            assert isinstance(await anext(slow), Event)
            for _ in range(10):
                await asyncio.gather(*(store.commit([Put(f"/{n}", b"x" * 1000)]) for n in range(20)))
            last = await put(store, "/last")
            assert len(await collect(store, "/", before, last)) == 201
            rest: list[Event] = []
            async for item in slow:
                if isinstance(item, Event):
                    rest.append(item)
                    if item.key == "/last":
                        break
        assert rest == await collect(store, "/", before, last)

    async def test_the_future_cannot_be_watched(self, store: Store) -> None:
        revision = await put(store, "/a")
        with pytest.raises(FutureRevision) as caught:
            await collect(store, "/", revision + 1000, revision)
        assert caught.value.revision == revision + 1000

    async def test_what_is_compacted_cannot_be_watched(self, store: Store) -> None:
        first = await put(store, "/a")
        middle = await store.commit([Put("/a", b"2"), Put("/b", b"2"), Put("/c", b"2")])
        await store.compact(middle)
        with pytest.raises(Compacted) as caught:
            await collect(store, "/", first, middle)
        assert (caught.value.revision, caught.value.oldest) == (first, middle)
        last = await store.commit([Put("/a", b"3"), Delete("/b")])
        assert await collect(store, "/", middle, last) == [Event("put", "/a", b"3", last, b"2"), Event("delete", "/b", b"2", last, b"2")]

    async def test_a_watch_that_keeps_up_survives_compaction(self, store: Store) -> None:
        before = await store.current_revision()
        async with watching(store, "/", before) as watch:
            for n in range(5):
                revision = await put(store, f"/{n}")
                keys = []
                async for item in watch:
                    if isinstance(item, Event):
                        keys.append(item.key)
                    elif item.revision >= revision:
                        break
                assert keys == [f"/{n}"]
                await store.compact(revision)

    async def test_a_reader_overtaken_by_compaction_gets_compacted_before_anything_is_missing(self, store: Store) -> None:
        before = await store.current_revision()
        for n in range(0, 3000, 100):
            await store.commit([Put(f"/{n + m:04}", b"") for m in range(100)])
        keys: list[str] = []
        async with watching(store, "/", before) as slow:
            keys.append(cast("Event", await anext(slow)).key)
            last = await put(store, "/last")
            await store.compact(last)
            with suppress(Compacted):
                async for item in slow:
                    if isinstance(item, Event):
                        keys.append(item.key)
                    elif item.revision >= last:
                        break
        assert keys == [*(f"/{n:04}" for n in range(3000)), "/last"][: len(keys)]

    async def test_a_cancelled_watch_leaves_nothing_behind(self, store: Store) -> None:
        before = await store.current_revision()
        tasks = [asyncio.create_task(collect(store, "/", before, before + 10_000)) for _ in range(20)]
        revision = await put(store, "/a", "/b")
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert len(await collect(store, "/", before, revision)) == 2
