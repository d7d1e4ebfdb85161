"""Provide a running gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.apiserver.gateway.harness import Running, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    """Yield a gateway with one free host, offered to tenant-a and tenant-b."""
    async with running(tmp_path) as found:
        await found.registries.add_host()
        yield found
