"""Run another metal3-workloads for the tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.unit.controllers.providers.relay.upstream import Upstream, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.controllers.fakeapi import FakeApi


@pytest.fixture
async def source(api: FakeApi) -> AsyncIterator[Upstream]:
    upstream = Upstream(api)
    task = serving(upstream)
    yield upstream
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
