"""Run the tests of every Store on the watch cache, with an exclusive inner store and with one that
it has to ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from storage.testing import StoreTests

if TYPE_CHECKING:
    from pathlib import Path

    from storage.base import Store


class SharedSQLiteStore(SQLiteStore):
    """Behave as if others wrote to the store too."""

    exclusive = False


class TestWatchCache(StoreTests):
    progress_within = 5.0

    def open_store(self, place: Path) -> Store:
        return WatchCache(SQLiteStore(place / "store.db", synchronous="off", progress_interval=0.2))


class TestWatchCacheThatHasToAsk(StoreTests):
    progress_within = 5.0

    def open_store(self, place: Path) -> Store:
        inner = SharedSQLiteStore(place / "store.db", synchronous="off", recent=2, progress_interval=0.2)
        return WatchCache(inner, history=3)
