"""Cover group commit, and what happens when the disk fails."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from storage.base import Conflict, Corrupt, Full, Put, Unavailable
from storage.sqlite import Retention, SQLiteStore
from storage.testing.harness import collect, opened, put
from tests.unit.storage.sqlite.flaky import error, flaky

if TYPE_CHECKING:
    from pathlib import Path

    from storage.base import Store


async def group(store: Store, *commits: list[Put]) -> list[int | BaseException]:
    """Return the outcomes of commits that are likely to share a transaction."""
    return await asyncio.gather(*(store.commit(operations) for operations in commits), return_exceptions=True)


async def test_commits_that_wait_share_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        connection.ran.clear()
        outcomes = await group(store, *([Put(f"/{n}", b"")] for n in range(200)))
        assert len(set(outcomes)) == 200
        assert connection.ran.count("COMMIT") < 50
        assert connection.ran.count("COMMIT") == connection.ran.count("BEGIN IMMEDIATE")


async def test_one_commit_waits_for_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        connection.ran.clear()
        await put(store, "/1", "/2", "/3")
        assert connection.ran.count("COMMIT") == 3


async def test_a_conflict_in_a_group_is_alone(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        busy = [asyncio.create_task(store.commit([Put(f"/busy/{n}", b"x" * 100_000)])) for n in range(3)]
        first, second, third, other = await group(
            store, [Put("/a", b"1", 0)], [Put("/b", b"", 0), Put("/a", b"2", 0)], [Put("/a", b"3", 0)], [Put("/c", b"")]
        )
        await asyncio.gather(*busy)
        assert isinstance(first, int)
        for conflict in (second, third):
            assert isinstance(conflict, Conflict)
            assert (conflict.key, conflict.actual) == ("/a", first)
        assert isinstance(other, int)
        assert [item.key for item in (await store.list("/")).items if "busy" not in item.key] == ["/a", "/c"]


async def test_when_the_disk_is_full_nothing_is_half_applied(tmp_path: Path) -> None:
    retention = Retention(interval=0)  # no compaction: history stays
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", max_bytes=400_000, retention=retention)) as store:
        before = await store.current_revision()
        revision = await put(store, "/small")
        with pytest.raises(Unavailable, match="free space") as caught:
            await store.commit([Put("/one", b"1"), Put("/big", b"x" * 1_000_000)])
        assert str(tmp_path / "db") in str(caught.value)
        assert await store.current_revision() == revision
        assert [item.key for item in (await store.list("/")).items] == ["/small"]
        outcomes = await group(store, [Put("/a", b"")], [Put("/big", b"x" * 1_000_000)], [Put("/b", b"")])
        assert [type(outcome) for outcome in outcomes] == [int, Full, int]
        last = await store.current_revision()
        assert [event.key for event in await collect(store, "/", before, last)] == ["/small", "/a", "/b"]


async def test_compaction_makes_room(tmp_path: Path) -> None:
    retention = Retention(interval=0)  # the test compacts itself
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", max_bytes=600_000, retention=retention)) as store:
        with pytest.raises(Unavailable):  # noqa: PT012 - some of them succeed
            for _ in range(100):
                await store.commit([Put("/same", b"x" * 50_000)])
        await store.compact(await store.current_revision())
        async with asyncio.timeout(60):
            while isinstance((await group(store, [Put("/same", b"y" * 50_000)]))[0], Unavailable):
                pass
        for _ in range(3):
            await store.commit([Put("/same", b"z" * 50_000)])


async def test_a_commit_that_fails_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        revision = await put(store, "/a")
        connection.fail["COMMIT"] = error(sqlite3.SQLITE_IOERR)
        with pytest.raises(Unavailable, match="system's log"):
            await store.commit([Put("/b", b"")])
        assert await store.get("/b") is None
        assert await store.current_revision() == revision
        after = await put(store, "/c")
        assert [event.key for event in await collect(store, "/", revision, after)] == ["/c"]


async def test_a_commit_that_fails_but_is_there_is_reported_to_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        revision = await put(store, "/a")
        connection.late, connection.fail["COMMIT"] = True, error(sqlite3.SQLITE_IOERR)
        with pytest.raises(Unavailable):
            await store.commit([Put("/b", b"")])
        assert await store.get("/b") is not None
        after = await put(store, "/c")
        assert [event.key for event in await collect(store, "/", revision, after)] == ["/b", "/c"]


@pytest.mark.parametrize("code", [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CORRUPT])
async def test_a_transaction_that_cannot_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        # It fails on the loop and again in the thread.
        connection.fail["BEGIN IMMEDIATE"], connection.times = error(code), 2
        with pytest.raises(Corrupt if code == sqlite3.SQLITE_CORRUPT else Unavailable):
            await store.commit([Put("/a", b"")])
        await put(store, "/a")


async def test_only_the_commit_waits_for_a_lock(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        other = sqlite3.connect(tmp_path / "db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            commit = asyncio.create_task(store.commit([Put("/a", b"")]))
            assert await store.get("/a") is None
            # The read took several turns of the loop, which a commit waiting on the loop would have
            # held up.
            assert not commit.done()
            other.execute("ROLLBACK")
            assert await commit == await store.current_revision()
        finally:
            other.close()


async def test_large_commits_keep_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        connection.ran.clear()
        large, many = [Put("/large", b"x" * ((1 << 20) + 1))], [Put(f"/many/{n}", b"") for n in range(300)]
        outcomes = await group(store, [Put("/a", b"")], large, [Put("/b", b"")], many, [Put("/c", b"")], [Put("/d", b"")])
        first = outcomes[0]
        assert isinstance(first, int)
        assert outcomes == [*range(first, first + 6)]
        assert connection.ran.count("COMMIT") == 5
        keys = [event.key for event in await collect(store, "/", first, first + 5)]
        assert [keys[:2], keys[-2:]] == [["/large", "/b"], ["/c", "/d"]]


async def test_what_was_queued_is_done_before_it_closes(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        commits = [asyncio.ensure_future(store.commit([Put(f"/{n}", b"")])) for n in range(200)]
        compaction = asyncio.ensure_future(store.compact(1))
        await asyncio.sleep(0)
        await store.close()
        assert len(set(await asyncio.gather(*commits))) == 200
        await compaction


async def test_sweeping_that_fails_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        revision = await put(store, "/a", "/a", "/a")
        statement = "UPDATE meta SET value = ? WHERE name = 'swept'"
        connection.fail[statement] = error(sqlite3.SQLITE_FULL)
        await store.compact(revision)
        last = await put(store, "/b")
        await store.compact(last)
        await put(store, "/c")
    with sqlite3.connect(tmp_path / "db") as database:
        assert [row[0] for row in database.execute("SELECT key FROM changes ORDER BY id")] == ["/a", "/b", "/c"]
    database.close()
