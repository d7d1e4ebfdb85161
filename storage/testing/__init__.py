"""The tests that every Store passes. A backend subclasses StoreTests and says how to open one:

    class TestMyStore(StoreTests):
        def open_store(self, place: Path) -> Store:
            return MyStore(place)

Needs pytest, pytest-asyncio with asyncio_mode=auto, and hypothesis; nothing outside of this package imports it.
"""

import pytest

pytest.register_assert_rewrite(*(f"storage.testing.{name}" for name in ("harness", "commits", "reads", "watches", "lifecycle", "model")))

# Only what is imported after that has its assertions rewritten.
from storage.testing.commits import CommitTests  # noqa: E402
from storage.testing.lifecycle import LifecycleTests  # noqa: E402
from storage.testing.model import ModelTests  # noqa: E402
from storage.testing.reads import ReadTests  # noqa: E402
from storage.testing.watches import WatchTests  # noqa: E402

__all__ = ["StoreTests"]


class StoreTests(CommitTests, ReadTests, WatchTests, LifecycleTests, ModelTests):
    """Every sentence of storage.base, as tests. Subclass it, with a name that begins with Test."""
