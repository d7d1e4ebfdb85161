"""Cover a full store: what is refused, what continues, and how it gets room again."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from storage.base import Delete, Full, Priority, Put
from storage.sqlite import SQLiteStore
from storage.sqlite.freespace import LOOK, OF_LIMIT, FreeSpace, Size
from storage.sqlite.schema import connect, prepare
from storage.testing.harness import brief, collect, opened, put
from tests.unit.storage.sqlite.flaky import error, flaky

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

LIMIT = 4_000_000
SIZE = 100_000


async def fill(store: SQLiteStore) -> list[str]:
    """Store values until there is no room, and return the stored keys."""
    keys: list[str] = []
    with suppress(Full):
        while True:
            await put(store, f"/{len(keys):03}", value=b"x" * SIZE)
            keys.append(f"/{len(keys):03}")
    return keys


async def until_taken(store: SQLiteStore, *operations: Put | Delete) -> int:
    """Retry the commit as a client does, and return its revision. Others have the disk in
    between."""
    async with asyncio.timeout(60):
        while True:
            with suppress(Full):
                return await store.commit(operations)
            await asyncio.sleep(0)


async def until_there_is_room(store: SQLiteStore) -> None:
    async with asyncio.timeout(60):
        while store.usage().full:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", max_bytes=LIMIT)) as store:
        assert isinstance(store, SQLiteStore)
        yield store


async def test_what_stores_more_is_refused_and_reads_and_watches_continue(store: SQLiteStore) -> None:
    keys = await fill(store)
    assert LIMIT * 3 // 4 < len(keys) * SIZE < LIMIT
    last = await store.current_revision()
    with pytest.raises(Full, match="Delete what is not needed"):
        await put(store, "/more", value=b"x" * SIZE)
    assert await store.current_revision() == last
    assert [item.key for item in (await store.list("/")).items] == keys
    gone = await store.commit([Delete(keys[0])])
    assert brief(await collect(store, "/", last, gone)) == [("delete", keys[0])]
    assert store.usage().full
    assert LIMIT * 3 // 4 < store.usage().size <= store.usage().limit == LIMIT


async def test_deleting_makes_room_without_a_restart(store: SQLiteStore, tmp_path: Path) -> None:
    for _ in range(3):
        keys = await fill(store)
        for key in keys:
            await store.commit([Delete(key)])
        await until_taken(store, Put("/new", b"x" * SIZE))
    for key in keys[: len(keys) // 2]:
        await until_taken(store, Put(key, b"y" * SIZE))
    await until_there_is_room(store)
    assert (tmp_path / "db").stat().st_size <= LIMIT


async def test_what_is_there_can_be_changed_for_ever(store: SQLiteStore) -> None:
    """Change objects of a full store, as controllers do to release hosts: they replace values by
    others of about the same size."""
    keys = await fill(store)
    for number in range(200):
        await until_taken(store, Put(keys[number % len(keys)], b"%3d" % number * (SIZE // 3)))
    await until_taken(store, Put(keys[0], b"x" * (SIZE + 1000)))
    await until_taken(store, *(Delete(key) for key in keys))
    assert not (await store.list("/")).items


async def until_refused(store: SQLiteStore, *sizes: int, key: Callable[[int], str], priority: Priority = Priority.CLIENT) -> int:
    """Store values of each size in turn until none is accepted, although history has made what room
    it could. Return how many were accepted."""
    taken = 0
    for size in sizes:
        refused = 0
        while refused < 20:
            try:
                await store.commit([Put(key(taken), b"x" * size, priority=priority)])
                taken, refused = taken + 1, 0
            except Full:
                refused += 1
                await asyncio.sleep(0.01)
    return taken


def smaller(number: int) -> str:
    return f"/small/{number:06}"


SMALL = (SIZE, 2000, 10, 1)


@pytest.mark.parametrize("priority", list(Priority))
async def test_what_is_created_is_never_stored_in_the_reserve(store: SQLiteStore, priority: Priority) -> None:
    await until_refused(store, *SMALL, key=smaller, priority=priority)
    reserve = LIMIT // OF_LIMIT
    assert store.usage().size < LIMIT - reserve + 2 * LOOK, "measured now and then"
    for item in (await store.list("/small/")).items:
        # Each object can be marked as deleted, and then be deleted.
        await until_taken(store, Put(item.key, item.value + b"d" * 150, priority=Priority.RELEASE))
    for item in (await store.list("/small/")).items:
        await store.commit([Delete(item.key)])


@pytest.mark.parametrize("priority", [Priority.CLIENT, Priority.FOLLOWS])
async def test_what_grows_leaves_what_deletions_need(store: SQLiteStore, priority: Priority) -> None:
    for number in range(500):
        await until_taken(store, Put(smaller(number), b"x" * 1000))
    await until_refused(store, SIZE, key=lambda taken: f"/large/{taken}")
    for size in range(1500, 6000, 500):
        for number in range(500):
            with suppress(Full):
                await store.commit([Put(smaller(number), b"x" * size, priority=priority)])
            await asyncio.sleep(0)
    reserve = LIMIT // OF_LIMIT
    assert (store.usage().size < LIMIT - reserve) == (priority is Priority.CLIENT)
    assert store.usage().size < LIMIT - reserve // 2 + 2 * LOOK, "measured now and then"
    for item in (await store.list("/small/")).items:
        await until_taken(store, Put(item.key, item.value + b"d" * 150, priority=Priority.RELEASE))


@pytest.mark.parametrize("priority", [Priority.CLIENT, Priority.FOLLOWS])
def test_what_is_replaced_without_end_leaves_what_releases_need(tmp_path: Path, priority: Priority) -> None:
    """Replace values faster than the room is measured and history is compacted."""
    free_space = empty_file(tmp_path / "db")
    replacement = Size(written=SIZE, growth=0, keys=0, priority=priority)
    taken = 0
    with suppress(Full):
        while taken < LIMIT // SIZE:
            free_space.take(replacement)
            taken += 1
    assert LIMIT * 3 // 4 < taken * SIZE < LIMIT - LIMIT // OF_LIMIT // 4
    for _ in range(LIMIT // OF_LIMIT // 8 // 1000):
        free_space.take(Size(written=1000, growth=1000, keys=0, priority=Priority.RELEASE))
    free_space.take(Size(written=0, growth=-SIZE, keys=-1, priority=Priority.RELEASE))
    with pytest.raises(Full):
        free_space.take(replacement)


def empty_file(path: Path) -> FreeSpace:
    connection = connect(path, "off", LIMIT)
    prepare(connection, path)
    free_space = FreeSpace(connection, path, LIMIT)
    free_space.measure()
    return free_space


async def test_keys_that_were_not_stored_after_all_need_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        await put(store, "/a")
        assert store._free_space is not None
        before = store._free_space._keys
        connection.fail["COMMIT"] = error(13, "database or disk is full")
        with suppress(Full):
            await put(store, "/b")
        assert store._free_space._keys == before
        await put(store, "/b")
        assert store._free_space._keys == before + 1
        await store.commit([Delete("/a"), Delete("/b")])
        assert store._free_space._keys == before - 1


@dataclass
class Disk:
    f_bavail: int
    f_frsize: int = 4096
    f_blocks: int = 1 << 20


async def test_the_last_of_a_disk_is_left_for_deletions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off")) as store:
        assert isinstance(store, SQLiteStore)
        await put(store, "/a", "/b", value=b"x" * SIZE)
        monkeypatch.setattr(os, "statvfs", lambda path: Disk(f_bavail=10 << 8))  # 10 MiB of 4 GiB
        assert len(await fill(store)) <= 1  # free space is measured now and then
        with pytest.raises(Full):
            await put(store, "/more", value=b"x" * SIZE)
        with pytest.raises(Full):
            await store.commit([Put("/a", b"y" * SIZE)])
        await store.commit([Put("/a", b"y" * SIZE, priority=Priority.RELEASE)])
        await store.commit([Delete("/a")])
        assert store.usage().full
        monkeypatch.setattr(os, "statvfs", lambda path: Disk(f_bavail=30 << 8))
        await until_taken(store, Put("/b", b"y" * SIZE))
        monkeypatch.setattr(os, "statvfs", lambda path: Disk(f_bavail=1000 << 8))
        await until_taken(store, Put("/more", b"x" * SIZE))
        assert not store.usage().full


async def test_a_disk_without_any_room_is_reported_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with flaky(tmp_path / "db", monkeypatch) as (store, connection):
        revision = await put(store, "/a")
        connection.fail["COMMIT"] = error(13, "database or disk is full")
        with pytest.raises(Full, match="free space on its disk"):
            await put(store, "/b")
        assert await store.current_revision() == revision
        await put(store, "/b")
