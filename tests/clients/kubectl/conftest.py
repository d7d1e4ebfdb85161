"""Provide a cluster in which only the test writes: no controllers, no hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.kubectl.serverpair import ServerPair
from tests.integration import running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerPair]:
    """Yield Workloads and their twin, which end after the tests of this folder."""
    folder = tmp_path_factory.mktemp("pair") / "quiet"
    try:
        cluster = running.start(folder, "--hosts", "0", "--bmo", "none", "--controllers", "off", "--tenants", "a")
        pair = ServerPair(cluster)
        pair.install()
        yield pair
    finally:
        running.stop(folder)
