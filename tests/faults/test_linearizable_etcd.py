"""Check that concurrent histories on a real etcd, alone and below the watch cache, are
linearizable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage.cache import WatchCache
from storage.etcd import EtcdStore
from storage.testing.harness import opened
from tests.faults.histories import record
from tests.faults.linearizable import first_impossible
from tests.integration.etcdserver import EtcdServer

if TYPE_CHECKING:
    from pathlib import Path

HISTORIES = 5


@pytest.mark.parametrize("cached", [False, True])
async def test_histories(tmp_path: Path, cached: bool) -> None:
    etcd = EtcdServer(tmp_path / "etcd", flags=["--unsafe-no-fsync"])
    etcd.start()
    try:
        for seed in range(HISTORIES):
            plain = EtcdStore([etcd.endpoint], prefix=f"/{seed}", progress_interval=0.5)
            async with opened(WatchCache(plain, history=100) if cached else plain) as store:
                before, calls = await record(store, seed)
            assert (found := first_impossible(before, calls)) is None, f"seed {seed}: {found}"
    finally:
        etcd.kill()
