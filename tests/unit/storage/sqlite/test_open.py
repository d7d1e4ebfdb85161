"""Cover opening a database: which processes may open it, what is checked, and the recovery that the
errors describe."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from storage.base import Corrupt, Put, Unavailable
from storage.sqlite import Retention, SQLiteStore
from storage.testing.harness import collect, opened, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def filled(path: Path) -> int:
    """Create a database with some content, and return its revision."""
    async with opened(SQLiteStore(path)) as store:
        for n in range(50):
            revision = await store.commit([Put(f"/{n}", b"x" * 2000)])
        return revision


def overwrite(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be taken for one " * 100)


def scribble(path: Path) -> None:
    """Destroy some pages in the middle."""
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xa5" * (40960 - 8192)
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def sql(statement: str) -> Callable[[Path], None]:
    def run(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    return run


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (overwrite, "not a database"),
        (scribble, "store.db"),
        (truncate, "store.db"),
        (sql("DELETE FROM meta WHERE name = 'compacted'"), "counters"),
        (sql("DELETE FROM changes WHERE key = '/7'"), "/7"),
        (sql("UPDATE meta SET value = 3 WHERE name = 'revision'"), "latest is 3"),
        (sql("PRAGMA user_version = 99"), "version 99"),
        (sql("PRAGMA application_id = 1"), "another program"),
    ],
)
async def test_what_cannot_be_trusted_is_not_opened(tmp_path: Path, damage: Callable[[Path], None], finding: str) -> None:
    path = tmp_path / "store.db"
    await filled(path)
    damage(path)
    store = SQLiteStore(path)
    with pytest.raises(Corrupt, match=finding) as caught:
        await store.start()
    assert "put a backup in its place" in str(caught.value)
    assert str(path) in str(caught.value)
    await store.close()
    path.unlink()
    async with opened(SQLiteStore(path)) as fresh:  # the lock is free
        await put(fresh, "/a")


async def test_a_backup_gets_one_out(tmp_path: Path) -> None:
    path, copy = tmp_path / "store.db", tmp_path / "backup.db"
    async with opened(SQLiteStore(path)) as store:
        before = await store.current_revision()
        revision = await put(store, "/a", "/b")
        busy = asyncio.create_task(put(store, *(f"/c/{n}" for n in range(50))))
        assert isinstance(store, SQLiteStore)
        await store.backup(copy)
        await busy
        with pytest.raises(Unavailable, match="exists"):
            await store.backup(copy)
    path.unlink()
    copy.rename(path)
    async with opened(SQLiteStore(path)) as store:
        latest = await store.current_revision()
        assert latest >= revision
        assert [event.key for event in await collect(store, "/", before, latest)][:2] == ["/a", "/b"]
        assert (await put(store, "/new")) == latest + 1


@pytest.mark.parametrize("through", ["store.db", "link.db", "sub/../store.db"])
async def test_a_second_opener_is_refused(tmp_path: Path, through: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    async with opened(SQLiteStore(tmp_path / "store.db")) as store:
        second = SQLiteStore(tmp_path / through)
        with pytest.raises(Unavailable, match="in use by process"):
            await second.start()
        await second.close()
        await put(store, "/a")
        with pytest.raises(Unavailable, match="in use by process"):
            await SQLiteStore(tmp_path / "store.db").start()


async def test_another_process_is_refused(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from storage.base import Unavailable
from storage.sqlite import SQLiteStore
try:
    asyncio.run(SQLiteStore(sys.argv[1]).start())
except Unavailable as error:
    print(error)
"""
    async with opened(SQLiteStore(tmp_path / "db")):
        arguments = [sys.executable, "-c", program, str(tmp_path / "db")]
        done = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, timeout=30)
    assert "in use by process" in done.stdout, done.stderr


async def test_a_look_by_another_program_takes_nothing_away(tmp_path: Path) -> None:
    program = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); print(c.execute('SELECT count(*) FROM live').fetchone()); c.close()"
    arguments = [sys.executable, "-c", program, str(tmp_path / "db")]
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        for n in range(1, 4):
            await put(store, f"/{n}")
            done = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, timeout=30)
            assert done.stdout == f"({n},)\n", done.stderr
            assert (tmp_path / "db-wal").exists(), "the store writes to a file without a name"


async def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "none" / "db")
    with pytest.raises(Unavailable, match="check that its directory exists"):
        await store.start()
    await store.close()


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        await put(store, "/a")
        modes = {name: os.stat(tmp_path / name).st_mode & 0o777 for name in os.listdir(tmp_path)}
        assert modes == {name: 0o600 for name in ("db", "db-wal", "db-shm", "db.lock")}


async def test_a_store_is_started_once(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db")) as store:
        with pytest.raises(Unavailable, match="new SQLiteStore"):
            await store.start()
    with pytest.raises(Unavailable, match="new SQLiteStore"):
        await store.start()


async def test_a_cancelled_start_leaves_nothing_open(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "db")
    starting = asyncio.create_task(store.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await store.close()
    async with opened(SQLiteStore(tmp_path / "db")) as second:
        await put(second, "/a")


async def test_closing_while_starting(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "db")
    starting = asyncio.create_task(store.start())
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(Unavailable):
        await starting
    async with opened(SQLiteStore(tmp_path / "db")):
        pass


async def test_compaction_is_taken_up_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "db"
    never = Retention(interval=0)
    async with opened(SQLiteStore(path, synchronous="off", retention=never)) as store:
        for n in range(0, 3000, 200):
            await asyncio.gather(*(store.commit([Put("/same", b"%d" % m)]) for m in range(n, n + 200)))
        revision = await store.current_revision()
        await store.compact(revision)
    async with opened(SQLiteStore(path, synchronous="off", retention=never)) as store:
        async with asyncio.timeout(60):
            while True:
                await put(store, "/probe")
                with closing(sqlite3.connect(path)) as reader:
                    (left,) = reader.execute("SELECT count(*) FROM changes WHERE key = '/same'").fetchone()
                if left == 1:
                    break
        assert (await store.list("/same", at=revision)).items[0].value == b"2999"
