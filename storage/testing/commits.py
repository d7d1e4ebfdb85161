"""Test commits: revisions, expectations, atomicity, concurrency."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from storage.base import Check, Conflict, Delete, KeyValue, Operation, Put, Store
from storage.testing.harness import Harness, brief, collect, put

KEYS = ["/a", "a", "/a b/ü/日本/😀", "/" + "k" * 400, "\x01\x7f", "\U0010ffff", "\ud7ff\ue000"]
VALUES = [b"", b"\0", b"\xff\xfe", bytes(range(256)), "ü".encode(), b"{}"]


class CommitTests(Harness):
    async def test_there_is_a_revision_before_the_first_commit(self, store: Store) -> None:
        assert await store.current_revision() >= 1

    async def test_each_change_gets_a_larger_revision(self, store: Store) -> None:
        revisions = [await store.current_revision()]
        operations: list[Operation] = [Put("/a", b"1"), Put("/a", b"1"), Delete("/a"), Put("/b", b"2")]
        for operation in operations:
            revisions.append(await store.commit([operation]))
            assert await store.current_revision() >= revisions[-1]
        assert sorted(set(revisions)) == revisions

    @pytest.mark.parametrize("key", KEYS)
    async def test_any_key_comes_back(self, store: Store, key: str) -> None:
        revision = await store.commit([Put(key, b"x")])
        assert await store.get(key) == KeyValue(key, b"x", revision)

    @pytest.mark.parametrize("value", VALUES)
    async def test_any_value_comes_back(self, store: Store, value: bytes) -> None:
        revision = await store.commit([Put("/v", value)])
        assert await store.get("/v") == KeyValue("/v", value, revision)
        deleted = await store.commit([Delete("/v")])
        events = await collect(store, "/v", revision - 1, deleted)
        assert [(event.type, event.value, event.previous) for event in events] == [("put", value, None), ("delete", value, value)]

    async def test_a_big_value_comes_back(self, store: Store) -> None:
        value = bytes(range(256)) * 4096
        revision = await store.commit([Put("/big", value)])
        assert await store.get("/big") == KeyValue("/big", value, revision)
        assert [event.value for event in await collect(store, "/big", revision - 1, revision)] == [value]

    @pytest.mark.parametrize("key", ["", "a\0b", "\0", "\ud800"])
    async def test_what_is_not_a_key_is_refused(self, store: Store, key: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - one kind of refusal is in the codec
            await store.commit([Put("/good", b""), Put(key, b"")])
        assert await store.get("/good") is None

    @pytest.mark.parametrize("second", [Put("/a", b"2"), Delete("/a"), Check("/a", 0)])
    async def test_two_operations_on_one_key_are_refused(self, store: Store, second: Operation) -> None:
        with pytest.raises(ValueError, match="/a"):
            await store.commit([Put("/a", b"1"), Put("/b", b"1"), second])
        assert await store.get("/b") is None

    @pytest.mark.parametrize("make", [lambda e: Put("/k", b"new", e), lambda e: Delete("/k", e), lambda e: Check("/k", e)])
    async def test_a_wrong_expectation_conflicts(self, store: Store, make: Callable[[int], Operation]) -> None:
        old = await put(store, "/k")
        revision = await put(store, "/k")
        for expected in (old, 0, revision + 1000):
            with pytest.raises(Conflict) as caught:
                await store.commit([make(expected)])
            assert (caught.value.key, caught.value.expected, caught.value.actual) == ("/k", expected, revision)
        assert await store.get("/k") == KeyValue("/k", b"v", revision)
        await store.commit([make(revision)])

    @pytest.mark.parametrize("make", [lambda e: Put("/k", b"new", e), lambda e: Delete("/k", e), lambda e: Check("/k", e)])
    async def test_an_absent_key_has_revision_0(self, store: Store, make: Callable[[int], Operation]) -> None:
        gone = await put(store, "/k")
        await store.commit([Delete("/k")])
        with pytest.raises(Conflict) as caught:
            await store.commit([make(gone)])
        assert caught.value.actual == 0
        await store.commit([make(0)])

    async def test_all_changes_of_a_commit_have_its_revision(self, store: Store) -> None:
        await put(store, "/b", "/c")
        before = await store.current_revision()
        revision = await store.commit([Put("/z", b"1"), Delete("/b"), Put("/a", b"2", 0), Delete("/none"), Put("/c", b"3")])
        assert {(item.key, item.revision) for item in (await store.list("/")).items} == {
            ("/a", revision),
            ("/c", revision),
            ("/z", revision),
        }
        events = await collect(store, "/", before, revision)
        assert brief(events) == [("put", "/z"), ("delete", "/b"), ("put", "/a"), ("put", "/c")]
        assert {event.revision for event in events} == {revision}

    async def test_a_conflict_applies_nothing_and_names_the_first(self, store: Store) -> None:
        revision = await put(store, "/a", "/b")
        with pytest.raises(Conflict) as caught:
            await store.commit([Put("/new", b""), Delete("/a"), Put("/b", b"", 0), Check("/c", 7)])
        assert caught.value.key == "/b"
        assert [item.key for item in (await store.list("/")).items] == ["/a", "/b"]
        assert await store.commit([]) == revision

    async def test_what_changes_nothing_gets_no_revision(self, store: Store) -> None:
        revision = await put(store, "/a")
        assert await store.commit([]) == revision
        assert await store.commit([Check("/a", revision), Check("/b", 0)]) == revision
        assert await store.commit([Delete("/none"), Delete("/none2", 0)]) == revision
        assert await store.current_revision() == revision

    async def test_one_of_several_commits_with_the_same_expectation_wins(self, store: Store) -> None:
        outcomes = await asyncio.gather(*(store.commit([Put("/one", b"%d" % n, 0)]) for n in range(20)), return_exceptions=True)
        won = [outcome for outcome in outcomes if isinstance(outcome, int)]
        conflicts = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
        assert (len(won), len(conflicts)) == (1, 19)
        winner = await store.get("/one")
        assert winner == KeyValue("/one", b"%d" % outcomes.index(won[0]), won[0])
        assert {conflict.actual for conflict in conflicts} == set(won)

    async def test_concurrent_increments_lose_nothing(self, store: Store) -> None:
        async def increment() -> None:
            while True:
                now = await store.get("/n")
                try:
                    await store.commit([Put("/n", b"%d" % (int(now.value) + 1 if now else 1), now.revision if now else 0)])
                except Conflict:
                    continue
                return

        async with asyncio.timeout(60):
            await asyncio.gather(*(increment() for _ in range(12)))
        state = await store.get("/n")
        assert state is not None
        assert state.value == b"12"

    async def test_each_of_many_concurrent_commits_has_its_own_revision(self, store: Store) -> None:
        before = await store.current_revision()
        revisions = await asyncio.gather(*(store.commit([Put(f"/{n:03}", b"")]) for n in range(100)))
        assert len(set(revisions)) == 100
        events = await collect(store, "/", before, max(revisions))
        assert {(event.key, event.revision) for event in events} == {(f"/{n:03}", revision) for n, revision in enumerate(revisions)}

    async def test_a_commit_is_seen_by_every_later_read(self, store: Store) -> None:
        for n in range(20):
            revision = await store.commit([Put("/k", b"%d" % n)])
            state, page = await asyncio.gather(store.get("/k"), store.list("/k"))
            assert state == KeyValue("/k", b"%d" % n, revision)
            assert [*page.items] == [state]
            assert page.revision >= revision

    async def test_a_cancelled_commit_is_applied_or_not(self, store: Store) -> None:
        before = await store.current_revision()
        tasks = [asyncio.create_task(store.commit([Put(f"/{n}/a", b""), Put(f"/{n}/b", b"")])) for n in range(10)]
        for n, task in enumerate(tasks):
            if n % 3 == 1:
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # by now the cancelled commits are decided, or will be later
        revision = await put(store, "/last")
        revision = max(revision, *[item.revision for item in (await store.list("/")).items])
        there = {item.key for item in (await store.list("/", at=revision)).items}
        assert all((f"/{n}/a" in there) == (f"/{n}/b" in there) for n in range(10))
        assert {event.key for event in await collect(store, "/", before, revision) if event.revision <= revision} == there
