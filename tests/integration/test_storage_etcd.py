"""Run the tests of every Store on a real etcd: EtcdStore alone and below the watch cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from storage.cache import WatchCache
from storage.etcd import EtcdStore
from storage.testing import StoreTests
from tests.integration.etcdserver import RELEASES, EtcdServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.base import Store

SLOWER = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.fixture(scope="module", params=RELEASES)
def etcd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """Start one etcd of each release for all tests; each place is a prefix of its own."""
    server = EtcdServer(tmp_path_factory.mktemp("etcd"), release=request.param, flags=["--unsafe-no-fsync"])
    server.start()
    try:
        yield server
    finally:
        server.kill()


class EtcdStoreTests(StoreTests):
    progress_within = 5.0
    model_settings = SLOWER
    endpoint: str

    @pytest.fixture(autouse=True)
    def _server(self, etcd: EtcdServer) -> None:
        self.endpoint = etcd.endpoint

    def open_etcd(self, place: Path) -> EtcdStore:
        return EtcdStore([self.endpoint], prefix=str(place), progress_interval=0.5)


class TestEtcdStore(EtcdStoreTests):
    def open_store(self, place: Path) -> Store:
        return self.open_etcd(place)


class TestWatchCacheOverEtcd(EtcdStoreTests):
    model_settings = settings(SLOWER, max_examples=5)

    def open_store(self, place: Path) -> Store:
        return WatchCache(self.open_etcd(place), history=100)
