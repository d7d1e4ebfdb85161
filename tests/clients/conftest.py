"""Provide the shared cluster of the integration tests, for clients that use it as tenants do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration import running
from tests.integration.conftest import cluster, tenants

__all__ = ["cluster", "tenants"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests here as real, and allow more time than for unit tests."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(running.UP_SECONDS + 600))
