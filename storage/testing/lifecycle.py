"""Test closing and opening again: acknowledged data is there, and revisions continue."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from storage.base import Compacted, Delete, KeyValue, Progress, Put, Store, Unavailable
from storage.testing.harness import DEADLINE, Harness, collect, opened, put, watching


async def everything_is_unavailable(store: Store) -> None:
    for call in (
        lambda: store.get("/a"),
        lambda: store.list("/"),
        lambda: store.list("/", at=1),
        lambda: store.commit([Put("/a", b"")]),
        lambda: store.current_revision(),
        lambda: store.compact(1),
        lambda: collect(store, "/", 1, 1),
    ):
        with pytest.raises(Unavailable):
            await call()


class LifecycleTests(Harness):
    async def test_before_the_start_nothing_is_available(self, place: Path) -> None:
        store = self.open_store(place)
        await everything_is_unavailable(store)
        await store.close()

    async def test_after_the_end_nothing_is_available(self, store: Store) -> None:
        await put(store, "/a")
        await asyncio.gather(store.close(), store.close())
        await everything_is_unavailable(store)
        await store.close()

    async def test_closing_ends_watches(self, store: Store) -> None:
        revision = await put(store, "/a")
        idle = asyncio.create_task(collect(store, "/", revision, revision + 1000))
        async with watching(store, "/", revision - 1) as unread:
            first = await anext(unread)
            assert not isinstance(first, Progress)
            await store.close()
            with pytest.raises(Unavailable):  # noqa: PT012 - some Progress may come before
                while isinstance(await anext(unread), Progress):
                    pass
        with pytest.raises(Unavailable):
            await idle

    async def test_what_was_acknowledged_is_there_again(self, place: Path) -> None:
        async with opened(self.open_store(place)) as store:
            before = await store.current_revision()
            await put(store, "/a", "/b")
            revision = await store.commit([Put("/a", b"2"), Delete("/b"), Put("/c", b"\xff")])
            events = await collect(store, "/", before, revision)
        async with opened(self.open_store(place)) as store:
            assert await store.current_revision() >= revision
            assert [*(await store.list("/")).items] == [KeyValue("/a", b"2", revision), KeyValue("/c", b"\xff", revision)]
            assert await collect(store, "/", before, revision) == events
            assert await store.commit([Put("/a", b"3", revision)]) > revision

    async def test_closing_finishes_or_refuses_what_is_under_way(self, place: Path) -> None:
        async with opened(self.open_store(place)) as store:
            tasks = [asyncio.create_task(store.commit([Put(f"/{n:02}", b"")])) for n in range(30)]
            await asyncio.sleep(0)
            await store.close()
            async with asyncio.timeout(DEADLINE):
                outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, int | Unavailable) for outcome in outcomes)
        async with opened(self.open_store(place)) as store:
            there = {item.key: item.revision for item in (await store.list("/")).items}
        for n, outcome in enumerate(outcomes):
            assert isinstance(outcome, Unavailable) or there[f"/{n:02}"] == outcome

    async def test_revisions_go_on_though_everything_is_gone(self, place: Path) -> None:
        async with opened(self.open_store(place)) as store:
            await put(store, "/a", "/b")
            last = await store.commit([Delete("/a"), Delete("/b")])
            await store.compact(last)
        async with opened(self.open_store(place)) as store:
            assert await store.current_revision() >= last
            assert [*(await store.list("/")).items] == []
            with pytest.raises(Compacted):
                await store.list("/", at=last - 1)
            with pytest.raises(Compacted):
                await collect(store, "/", last - 1, last)
            assert await store.commit([Put("/a", b"", 0)]) > last
