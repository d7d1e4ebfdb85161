"""The shared cluster of the integration tests, for clients that use it as tenants do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration import running
from tests.integration.conftest import cluster, tenants

__all__ = ["cluster", "tenants"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is real, and slower than a unit test may be."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(running.UP_SECONDS + 600))
