"""Copy from store to store: everything arrives, revisions grow, and interruptions and foreign
content are noticed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from storage import transfer
from storage.base import Compacted, Delete, Put, Unavailable
from storage.sqlite import SQLiteStore
from storage.testing.harness import collect, opened, put
from storage.transfer import MARK, Changed, NotEmpty

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from storage.base import Operation, Store


class Breaking(SQLiteStore):
    """Fail after this many commits."""

    left = 10**9

    async def commit(self, operations: Sequence[Operation]) -> int:
        if self.left == 0:
            raise Unavailable("broken")
        self.left -= 1
        return await super().commit(operations)


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Store, Breaking]]:
    """Create a source with 300 keys and deletions, and an empty target."""
    target = Breaking(folder / "target", synchronous="off")
    async with opened(SQLiteStore(folder / "source", synchronous="off")) as source, opened(target):
        for n in range(300):
            await source.commit([Put(f"/{n}", b"%d" % n * 1000)])
        await source.commit([Delete("/7")])
        yield source, target


def silent(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


async def migrate(source: Store, target: Store) -> int:
    held = await transfer.snapshot(source)
    await transfer.mark(held, target)
    await transfer.bump_revision(target, held.revision, silent)
    return await transfer.copy(source, held, target, silent)


async def same(source: Store, target: Store) -> bool:
    return [(i.key, i.value) for i in (await source.list("")).items] == [(i.key, i.value) for i in (await target.list("")).items]


async def test_everything_arrives_above_all_that_was(tmp_path: Path) -> None:
    async with pair(tmp_path) as (source, target):
        before = await source.current_revision()
        revision = await migrate(source, target)
        assert await same(source, target)
        assert all(item.revision > before for item in (await target.list("")).items)
        with pytest.raises(Compacted):  # the target's history lacks the deletion
            await collect(target, "", before - 1, revision)
        assert await put(target, "/next") == revision + 1


async def test_an_interrupted_one_continues(tmp_path: Path) -> None:
    for after in (0, 1, 2, 200, 303, 304, 305):
        folder = tmp_path / str(after)
        folder.mkdir()
        async with pair(folder) as (source, target):
            target.left = after
            with pytest.raises(Unavailable):
                await migrate(source, target)
            assert after == 0 or await target.get(MARK)
            target.left = 10**9
            await migrate(source, target)
            assert await same(source, target)


async def test_a_target_with_something_else_is_left_alone(tmp_path: Path) -> None:
    async with pair(tmp_path) as (source, target):
        await put(target, "/other")
        with pytest.raises(NotEmpty, match="/other"):
            await migrate(source, target)
        assert [item.key for item in (await target.list("")).items] == ["/other"]


async def test_a_beginning_from_another_state_is_not_continued_with(tmp_path: Path) -> None:
    async with pair(tmp_path) as (source, target):
        held = await transfer.snapshot(source)
        await transfer.mark(held, target)
        await target.commit([Put("/1", b"another")])
        with pytest.raises(NotEmpty, match="its /1 differs"):
            await transfer.mark(held, target)


async def test_half_a_store_is_no_source(tmp_path: Path) -> None:
    async with pair(tmp_path) as (source, target):
        await transfer.mark(await transfer.snapshot(source), target)
        with pytest.raises(NotEmpty, match="finish that one"):
            await transfer.snapshot(target)


@pytest.mark.parametrize("key", ["/1", "/new"])
async def test_writes_meanwhile_are_noticed(tmp_path: Path, key: str) -> None:
    async with pair(tmp_path) as (source, target):
        held = await transfer.snapshot(source)
        await transfer.mark(held, target)
        await transfer.bump_revision(target, held.revision, silent)
        await put(source, key)
        with pytest.raises(Changed, match="source"):
            await transfer.copy(source, held, target, silent)
        assert await target.get(MARK)


async def test_a_target_behind_the_source_is_refused(tmp_path: Path) -> None:
    async with pair(tmp_path) as (source, target):
        held = await transfer.snapshot(source)
        with pytest.raises(ValueError, match="behind"):
            await transfer.copy(source, held, target, silent)
