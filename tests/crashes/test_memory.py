"""Run the tests of every Store on the store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.testing import StoreTests
from tests.crashes.memory import Data, MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

    from storage.base import Store

PLACES: dict[str, Data] = {}


class TestMemoryStore(StoreTests):
    progress_within = 5.0

    def open_store(self, place: Path) -> Store:
        return MemoryStore(PLACES.setdefault(str(place), Data()), progress_interval=0.2)
