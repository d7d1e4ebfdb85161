"""Import the cluster in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.controllers.providers.machines.kubevirt.simulation import KubeVirt, kubevirt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.controllers.fakeapi import FakeApi


@pytest.fixture
async def source(api: FakeApi) -> AsyncIterator[KubeVirt]:
    async with kubevirt(api) as cluster:
        yield cluster
