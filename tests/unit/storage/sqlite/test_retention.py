from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Compacted
from storage.sqlite import Retention, SQLiteStore
from storage.sqlite.retention import Horizon
from storage.testing.harness import opened, put

if TYPE_CHECKING:
    from pathlib import Path


@given(
    st.lists(st.tuples(st.floats(0.1, 50), st.integers(0, 300)), min_size=1, max_size=40),
    st.floats(0, 100),
    st.integers(0, 200),
    st.integers(200, 800),
)
def test_young_and_recent_revisions_are_retained(steps: list[tuple[float, int]], seconds: float, least: int, most: int) -> None:
    horizon = Horizon(Retention(seconds=seconds, least=least, most=most))
    history: list[tuple[float, int]] = []
    now, revision = 0.0, 1
    for wait, written in steps:
        now, revision = now + wait, revision + written
        history.append((now, revision))
        target = horizon.compact_to(now, revision)
        old = max((r for t, r in history if t <= now - seconds), default=0)
        assert target == max(0, revision - most, min(old, revision - least))


async def test_old_history_is_removed_by_itself(tmp_path: Path) -> None:
    retention = Retention(seconds=0, least=5, interval=0.02)
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", retention=retention)) as store:
        first = await put(store, "/a")
        async with asyncio.timeout(60):
            while True:
                last = await put(store, "/a")
                try:
                    await store.list("/", at=first)
                except Compacted:
                    break
        assert (await store.list("/", at=last - 1)).revision == last - 1


async def test_the_default_keeps_what_is_young(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", retention=Retention(interval=0.01))) as store:
        first = await put(store, "/a")
        for _ in range(5):
            await asyncio.sleep(0.02)
            await put(store, "/a")
        assert (await store.list("/", at=first)).revision == first
        await store.compact(first)
        with pytest.raises(Compacted):
            await store.list("/", at=first - 1)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=200), st.integers(1, 1000))
def test_history_has_no_more_bytes_than_allowed(sizes: list[int], most: int) -> None:
    horizon = Horizon(Retention(size=most))
    for revision, size in enumerate(sizes, 1):
        too_large = horizon.wrote(revision, size)
        target = horizon.compact_to(0.0, revision)
        kept = sum(sizes[target:revision])
        assert kept <= most
        assert not too_large or target > 0
        if target:  # not much less is kept: one part at most
            assert kept + max(sizes) + most // 64 >= min(most, sum(sizes[:revision])) - max(sizes)


async def test_large_history_is_removed_at_once(tmp_path: Path) -> None:
    retention = Retention(size=10_000_000, interval=3600)
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", retention=retention)) as store:
        for _ in range(200):
            last = await put(store, "/a", value=b"x" * 1_000_000)
        async with asyncio.timeout(60):
            while True:
                with suppress(Compacted):
                    await store.list("/", at=last - 12)
                    await put(store, "/b")
                    continue
                break
        assert (await store.list("/", at=last)).revision == last
    assert (tmp_path / "db").stat().st_size < 100_000_000


async def test_the_size_of_history_is_known_after_a_restart(tmp_path: Path) -> None:
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", retention=Retention(interval=0))) as store:
        for _ in range(20):
            last = await put(store, "/a", value=b"x" * 1_000_000)
    async with opened(SQLiteStore(tmp_path / "db", synchronous="off", retention=Retention(size=10_000_000, interval=0.01))) as store:
        async with asyncio.timeout(60):
            while True:
                try:
                    await store.list("/", at=last - 12)
                except Compacted:
                    break
        assert (await store.list("/", at=last - 8)).revision == last - 8
