"""Provide a hardware and a management cluster in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from apiserver.client.client import Client
from tests.unit.controllers.clusters import BMH, TwoClusters, bmh, two_clusters
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


@pytest.fixture
async def clusters() -> AsyncIterator[TwoClusters]:
    """Yield a hardware cluster with one free host, and a management cluster without controllers."""
    async with two_clusters() as made:
        made.hardware.put(BMH, bmh("h1"))
        yield made
