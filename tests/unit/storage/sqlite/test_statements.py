from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from storage.base import Compacted, Delete, Put
from storage.sqlite import Retention, SQLiteStore
from storage.sqlite.schema import connect, first_id, last_id
from storage.sqlite.statements import history, list_page
from storage.testing.harness import opened, put

if TYPE_CHECKING:
    from pathlib import Path


async def test_history_is_whole_or_refused(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", retention=Retention(interval=0))) as store:
        await put(store, "/a")
        middle = await store.commit([Put("/a", b"2"), Put("/b", b"2"), Put("/c", b"2")])
        last = await store.commit([Put("/a", b"3"), Put("/b", b"3"), Delete("/c")])
        await store.compact(middle)
    with closing(connect(tmp_path / "db")) as connection:
        # Positions within the compacted revision are refused as well.
        for after in (last_id(middle - 1), first_id(middle), first_id(middle) + 1):
            with pytest.raises(Compacted) as caught:
                history(connection, "", after, last_id(last), 10)
            assert (caught.value.revision, caught.value.oldest) == (middle - 1, middle)
        for after, count in ((last_id(middle), 3), (first_id(last), 2), (last_id(last), 0)):
            rows, _ = history(connection, "", after, last_id(last), 10)
            assert [event.previous for _, event in rows] == [b"2"] * count
        assert [change for change, _ in history(connection, "", last_id(middle), last_id(last), 2)[0]] == [
            first_id(last),
            first_id(last) + 1,
        ]


async def test_compaction_leaves_no_more_than_the_state(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off")) as store:
        for n in range(300):
            await store.commit([Put(f"/{n}", b""), Put("/same", b"%d" % n)])
            await store.commit([Delete(f"/{n}")])
        revision = await store.current_revision()
        await store.compact(revision)
        for n in range(20):  # each commit leaves time for some sweeping
            await put(store, f"/later/{n}")
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        assert connection.execute("SELECT key FROM changes WHERE id <= ?", (last_id(revision),)).fetchall() == [("/same",)]


async def test_a_page_of_the_past_costs_what_is_on_it(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off")) as store:
        await store.commit([Put(f"/{n:05}", b"") for n in range(5_000)])
        before = await store.current_revision()
        await store.commit([Put(f"/{n:05}", b"") for n in range(0, 5_000, 2)])
    with closing(connect(tmp_path / "db")) as connection:

        def steps(limit: int) -> int:
            """Return the steps of SQLite's virtual machine for a page, in tens."""
            counted: list[None] = []
            connection.set_progress_handler(lambda: counted.append(None), 10)
            assert len(list_page(connection, "/", None, limit, before).items) == limit
            connection.set_progress_handler(None, 10)
            return len(counted)

        assert steps(50) * 20 < steps(5_000)


async def test_a_page_ends_after_some_bytes(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off")) as store:
        before = await store.current_revision()
        for n in range(20):
            last = await put(store, f"/{n:02}", value=b"x" * 1_000_000)
    with closing(connect(tmp_path / "db")) as connection:
        page = list_page(connection, "/", None, 500, 0)
        assert (4 <= len(page.items) <= 6, page.more) == (True, True)
        rows, more = history(connection, "", last_id(before), last_id(last), 256)
        assert (4 <= len(rows) <= 6, more) == (True, True)
        assert len(list_page(connection, "/", None, 0, 0).items) == 20  # without a limit all items come
