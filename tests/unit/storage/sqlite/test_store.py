"""Run the tests of every Store on the SQLite backend, also when it keeps hardly any history in
memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
