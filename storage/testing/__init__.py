"""Provide the tests that every Store passes. A backend subclasses StoreTests and opens its store:

    class TestMyStore(StoreTests):
        def open_store(self, place: Path) -> Store:
            return MyStore(place)

The tests need pytest, pytest-asyncio with asyncio_mode=auto, and hypothesis. No other package
imports this one.
"""

import pytest

pytest.register_assert_rewrite(*(f"storage.testing.{name}" for name in ("harness", "commits", "reads", "watches", "lifecycle", "model")))

# Only modules imported after this line have their assertions rewritten.
from storage.testing.commits import CommitTests
from storage.testing.lifecycle import LifecycleTests
from storage.testing.model import ModelTests
from storage.testing.reads import ReadTests
from storage.testing.watches import WatchTests

__all__ = ["StoreTests"]


class StoreTests(CommitTests, ReadTests, WatchTests, LifecycleTests, ModelTests):
    """Tests for every sentence of storage.base. Subclass it with a name that begins with Test."""
