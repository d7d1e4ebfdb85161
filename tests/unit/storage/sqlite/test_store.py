"""Run the tests of every Store on the SQLite backend, also when it keeps hardly any history in
memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from storage.sqlite import SQLiteStore
from storage.testing import StoreTests

if TYPE_CHECKING:
    from pathlib import Path

    from storage.base import Store


class TestSQLite(StoreTests):
    progress_within = 5.0

    def open_store(self, place: Path) -> Store:
        return SQLiteStore(place / "store.db", synchronous="off", progress_interval=0.2)


class TestSQLiteWithLittleMemory(StoreTests):
    progress_within = 5.0

    def open_store(self, place: Path) -> Store:
        return SQLiteStore(place / "store.db", synchronous="off", progress_interval=0.2, recent=2, readers=1)


@pytest.mark.parametrize("turns", range(6))
async def test_a_store_that_closes_when_compaction_is_due_ends(tmp_path: Path, turns: int) -> None:
    """Wake the compactor up so many turns of the loop after the close began: one of them is that of
    its cancellation, which must not be lost."""
    store = SQLiteStore(tmp_path / "db", synchronous="off")
    await store.start()
    await asyncio.sleep(0.01)  # the compactor waits now
    closing = asyncio.ensure_future(store.close())
    for _ in range(turns):
        await asyncio.sleep(0)
    store._compaction_due.set()
    async with asyncio.timeout(60):
        await closing
