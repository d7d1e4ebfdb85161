"""Simulate a power cut as SQLite's files see it: synced data is there, and any part of the rest may
be missing or garbage."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage.base import Delete, Put
from storage.sqlite import Retention, SQLiteStore
from storage.testing.harness import collect, opened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMITS = 60
CUTS_PER_KILL = 10
NEVER = Retention(interval=0)


@dataclass(frozen=True)
class Acknowledged:
    """Describe a commit: its number, its revision, and the length of the -wal when it was
    acknowledged, all of it synced."""

    number: int
    revision: int
    synced: int


async def write(store: SQLiteStore, first: int, moments: random.Random) -> list[Acknowledged]:
    """Commit two keys at a time, one commit after the other."""
    done = []
    for number in range(first, first + COMMITS):
        value = b"%d " % number * moments.randint(1, 3000)
        revision = await store.commit([Put("/a", value), Put("/b", value), Delete(f"/{number - 5}"), Put(f"/{number}", value)])
        done.append(Acknowledged(number, revision, wal(store.path).stat().st_size))
    return done


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


async def check(path: Path, done: list[Acknowledged], at_least: int) -> None:
    """Check that the store opens and holds whole commits up to some revision, at least `at_least`,
    and none after it."""
    async with opened(SQLiteStore(path, synchronous="off", retention=NEVER)) as store:
        current = await store.current_revision()
        assert current >= at_least
        there = [commit for commit in done if commit.revision <= current]
        first = there[0].revision - 1 if there else current
        numbers = {event.revision: event.key for event in await collect(store, "/", first, current) if event.key not in ("/a", "/b")}
        assert [*numbers] == [commit.revision for commit in there]
        items = {item.key: item for item in (await store.list("/")).items}
        if there:
            assert items["/a"].value == items["/b"].value == items[f"/{there[-1].number}"].value
            assert items["/a"].revision == items["/b"].revision == current
            assert items["/a"].value.split()[0] == b"%d" % there[-1].number
        assert await store.commit([Put("/next", b"")]) == current + 1


async def test_the_log_is_cut_off_anywhere(tmp_path: Path, kills: int, seed: int, figure: Callable[[str, str, object], None]) -> None:
    moments, lost = random.Random(seed), 0
    source = tmp_path / "db"
    async with opened(SQLiteStore(source, retention=NEVER)) as store:
        assert isinstance(store, SQLiteStore)
        assert store._connection is not None
        # FULL (2) syncs each commit before it is acknowledged.
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        done = await write(store, 10, moments)
        database, log = source.read_bytes(), wal(source).read_bytes()
    assert [commit.synced for commit in done] == sorted(commit.synced for commit in done), "a checkpoint came in between"
    for trial in range(kills * CUTS_PER_KILL):
        path = tmp_path / f"cut-{trial}"
        cut = moments.randint(0, len(log))
        tail = b"" if trial % 2 else moments.randbytes(min(len(log) - cut, 20_000))
        path.write_bytes(database)
        wal(path).write_bytes(log[:cut] + tail)
        lost += len(tail) > 0
        await check(path, done, max((commit.revision for commit in done if commit.synced <= cut), default=0))
    figure("power cut while commits are written", "cuts, every synced commit there, whole", kills * CUTS_PER_KILL)
    figure("power cut while commits are written", "of them with garbage behind the cut", lost)


async def test_the_database_is_half_checkpointed(tmp_path: Path, kills: int, seed: int, figure: Callable[[str, str, object], None]) -> None:
    moments, source = random.Random(seed), tmp_path / "db"
    async with opened(SQLiteStore(source, retention=NEVER)) as store:
        assert isinstance(store, SQLiteStore)
        done = await write(store, 10, moments)
        before, log = source.read_bytes(), wal(source).read_bytes()
        with closing(sqlite3.connect(source)) as connection:
            assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[0] == 0
        after = source.read_bytes()
    assert before != after
    page = int.from_bytes(after[16:18], "big")
    for trial in range(kills * CUTS_PER_KILL):
        path = tmp_path / f"mixed-{trial}"
        length = moments.randrange(len(before), len(after) + 1, page)
        pages = [(after if moments.random() < 0.5 else before.ljust(len(after), b"\0"))[at : at + page] for at in range(0, length, page)]
        path.write_bytes(b"".join(pages))
        wal(path).write_bytes(log)
        await check(path, done, done[-1].revision)
    figure("power cut during a checkpoint", "mixtures of old and new pages, all commits there", kills * CUTS_PER_KILL)


async def test_a_checker_that_sees_a_lost_commit(tmp_path: Path) -> None:
    """Check the checker itself: it reports a loss where the log, and only what was in it, is
    missing."""
    source = tmp_path / "db"
    async with opened(SQLiteStore(source, retention=NEVER)) as store:
        assert isinstance(store, SQLiteStore)
        done = await write(store, 10, random.Random(0))
        shutil.copy(source, tmp_path / "copy")
    try:
        await check(tmp_path / "copy", done, done[-1].revision)
    except AssertionError:
        return
    raise AssertionError("nothing was missed")
