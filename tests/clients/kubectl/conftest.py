"""Provide a cluster in which only the test writes: no controllers, no hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.kubectl.twins import Twins
from tests.integration import running

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    """Yield Workloads and their twin, which end after the tests of this folder."""
    folder = tmp_path_factory.mktemp("twins") / "quiet"
    try:
        cluster = running.start(folder, "--hosts", "0", "--bmo", "none", "--controllers", "off", "--tenants", "a")
        twins = Twins(cluster)
        twins.install()
        yield twins
    finally:
        running.stop(folder)
