"""Provide a hardware and a management cluster in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apiserver.client.client import Client
from tests.unit.controllers.fakeapi import FakeApi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    """Yield an empty API server."""
    async with FakeApi().serving() as fake:
        yield fake


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    """Yield a client of `api`."""
    async with Client(api.kubeconfig) as made:
        yield made
