"""Test reads: order, prefixes, paging, past states, and compaction."""

from __future__ import annotations

import pytest

from storage.base import Compacted, Delete, FutureRevision, KeyValue, Operation, Page, Put, Store
from storage.keys import successor
from storage.testing.harness import Harness, brief, collect, put

# Keys whose order by UTF-16 units or by some locale would differ from that of their UTF-8 bytes,
# and keys at the ends of prefixes.
TRICKY = [
    "a", "a/", "a/b", "a/b/c", "a0", "a\x01", "a\x7f", "a\x80", "aÿ", "aĀ", "a\ud7ff", "a\ud7ff/x", "a\ue000", "a\uffff",
    "a\U00010000", "a😀", "a\U0010ffff", "a\U0010ffff/x", "A", "b", "ä", "\U0010ffff", "\U0010ffff\U0010ffff",
]  # fmt: skip
PREFIXES = ["", "a", "a/", "a/b", "aÿ", "a\x7f", "a\ud7ff", "a\ue000", "a\uffff", "a\U0010ffff", "\U0010ffff", "b", "zzz", "ä"]


def keys(page: Page) -> list[str]:
    return [item.key for item in page.items]


class ReadTests(Harness):
    async def test_missing_keys(self, store: Store) -> None:
        assert await store.get("/a") is None
        page = await store.list("/a")
        assert ([*page.items], page.more) == ([], False)
        assert page.revision == await store.current_revision()

    async def test_order_and_prefixes_are_those_of_the_bytes(self, store: Store) -> None:
        await store.commit([Put(key, key.encode()) for key in TRICKY])
        for prefix in PREFIXES:
            expected = sorted(key.encode() for key in TRICKY if key.encode().startswith(prefix.encode()))
            assert [item.value for item in (await store.list(prefix)).items] == expected
            assert [key.encode() for key in keys(await store.list(prefix))] == expected

    async def test_prefixes_in_the_past_and_in_watches(self, store: Store) -> None:
        before = await store.current_revision()
        revision = await store.commit([Put(key, b"") for key in sorted(TRICKY)])
        later = await store.commit([Delete(key) for key in sorted(TRICKY)])
        for prefix in PREFIXES:
            expected = sorted(key for key in TRICKY if key.startswith(prefix))
            assert keys(await store.list(prefix, at=revision)) == expected
            events = await collect(store, prefix, before, later)
            assert brief(events) == [("put", key) for key in expected] + [("delete", key) for key in expected]

    async def test_pages_are_parts_of_one_state(self, store: Store) -> None:
        names = [f"/p/{n:02}" for n in range(10)]
        await put(store, *names, "/q")
        page = await store.list("/p/", limit=4)
        collected = keys(page)
        while page.more:
            await store.commit([Put(f"/p/{len(collected) + 1:02}x", b""), Delete(f"/p/{len(collected) + 2:02}")])
            page = await store.list("/p/", start=successor(collected[-1]), limit=4, at=page.revision)
            collected += keys(page)
        assert collected == names

    async def test_pages_of_large_values_miss_nothing(self, store: Store) -> None:
        names = [f"/p/{n:02}" for n in range(24)]
        for name in names:
            await put(store, name, value=b"x" * 1_000_000)
        page = await store.list("/p/", limit=500)
        collected = keys(page)
        while page.more:
            page = await store.list("/p/", start=successor(collected[-1]), limit=500, at=page.revision)
            collected += keys(page)
        assert collected == names

    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
    async def test_more_is_exact(self, store: Store, count: int) -> None:
        await put(store, "/a", *(f"/p/{n}" for n in range(count)), "/z")
        revision = await put(store, "/zz")
        for at in (0, revision, revision - 1):
            page = await store.list("/p/", limit=2, at=at)
            assert (len(page.items), page.more) == (min(count, 2), count > 2)

    async def test_start_is_inclusive_and_keeps_the_prefix(self, store: Store) -> None:
        await put(store, "/a", "/p/1", "/p/2", "/p/3", "/z")
        assert keys(await store.list("/p/", start="/p/2")) == ["/p/2", "/p/3"]
        assert keys(await store.list("/p/", start="/p/10")) == ["/p/2", "/p/3"]
        assert keys(await store.list("/p/", start="/a")) == ["/p/1", "/p/2", "/p/3"]
        assert keys(await store.list("/p/", start="/z")) == []

    async def test_every_past_state_can_be_read(self, store: Store) -> None:
        states: dict[int, list[KeyValue]] = {await store.current_revision(): []}
        history: list[list[Operation]] = [
            [Put("/a", b"1"), Put("/b", b"1")],
            [Put("/a", b"2")],
            [Delete("/a"), Put("/c", b"1")],
            [Put("/a", b"3", 0)],
            [Delete("/a"), Delete("/b"), Delete("/c")],
        ]
        for operations in history:
            revision = await store.commit(operations)
            states[revision] = [*(await store.list("/")).items]
        assert [len(state) for state in states.values()] == [0, 2, 2, 2, 3, 0]
        for revision, state in states.items():
            page = await store.list("/", at=revision)
            assert ([*page.items], page.revision, page.more) == (state, revision, False)

    async def test_the_future_cannot_be_read(self, store: Store) -> None:
        revision = await put(store, "/a")
        with pytest.raises(FutureRevision) as caught:
            await store.list("/", at=revision + 1000)
        assert caught.value.revision == revision + 1000
        assert caught.value.current >= revision

    async def test_compaction_takes_what_is_older(self, store: Store) -> None:
        first = await put(store, "/a", "/b")
        middle = await store.commit([Put("/a", b"2"), Delete("/b")])
        last = await store.commit([Put("/a", b"3")])
        await store.compact(middle)
        with pytest.raises(Compacted) as caught:
            await store.list("/", at=first)
        assert (caught.value.revision, caught.value.oldest) == (first, middle)
        assert [*(await store.list("/", at=middle)).items] == [KeyValue("/a", b"2", middle)]
        assert [*(await store.list("/", at=last)).items] == [KeyValue("/a", b"3", last)]
        assert await store.get("/a") == KeyValue("/a", b"3", last)

    async def test_compaction_to_the_latest_keeps_the_state(self, store: Store) -> None:
        revision = await put(store, "/a", "/a", "/b")
        await store.compact(revision)
        assert keys(await store.list("/", at=revision)) == ["/a", "/b"]
        assert await store.commit([]) == revision
        assert await store.commit([Delete("/a"), Delete("/b")]) > revision
        assert keys(await store.list("/")) == []
        assert keys(await store.list("/", at=revision)) == ["/a", "/b"]

    async def test_compacting_less_changes_nothing(self, store: Store) -> None:
        first, second = await put(store, "/a"), await put(store, "/a")
        await store.compact(second)
        await store.compact(first)
        await store.compact(second)
        with pytest.raises(Compacted):
            await store.list("/", at=first)
        assert keys(await store.list("/", at=second)) == ["/a"]

    async def test_the_future_cannot_be_compacted(self, store: Store) -> None:
        revision = await put(store, "/a")
        with pytest.raises(FutureRevision):
            await store.compact(revision + 1000)
        assert keys(await store.list("/", at=revision)) == ["/a"]
