"""A simulated cloud for each test; its process serves all of them."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

import pytest

from hack.cloud.simulation import simulated_cloud
from tests.unit.controllers.providers.cloud.door import door
from tests.unit.controllers.providers.cloud.world import Cloud, account

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture(scope="session")
def simulation() -> Iterator[int]:
    """The port of the simulated EC2."""
    with simulated_cloud() as port:
        yield port


@pytest.fixture
def emptied(simulation: int) -> int:
    """The same, with nothing in its accounts."""
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{simulation}/moto-api/reset", method="POST"), timeout=30):
        return simulation


@pytest.fixture
async def source(emptied: int) -> AsyncIterator[Cloud]:
    """An account behind a door."""
    async with door(emptied) as opened:
        yield Cloud(opened, account(emptied))
