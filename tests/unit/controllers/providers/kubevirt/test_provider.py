"""The provider of virtual machines passes the tests of all providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controllers.providers.testing import ProviderTests
from tests.unit.controllers.providers.kubevirt.world import KubeVirt, kubevirt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.controllers.fakeapi import FakeApi


@pytest.fixture
async def source(api: FakeApi) -> AsyncIterator[KubeVirt]:
    async with kubevirt(api) as cluster:
        yield cluster


class TestKubeVirtProvider(ProviderTests):
    """Against a KubeVirt cluster in memory."""
