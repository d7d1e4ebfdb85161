"""Back up a real etcd with `metal3-workloads backup`, and restore it with etcdutl."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest

from apiserver.cli.backup import OWN
from apiserver.cli.main import main
from apiserver.registry.claims.heartbeat import KEY, Heartbeat, Record, gap
from apiserver.server.servingcert import AUTHORITY_KEY
from storage.base import Delete, Put
from storage.etcd import EtcdStore
from storage.testing.harness import opened
from tests.integration.etcdserver import RELEASES, EtcdServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.base import Operation


@pytest.fixture(params=RELEASES)
def etcd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path / "etcd", flags=["--unsafe-no-fsync"], release=request.param)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def store_of(etcd: EtcdServer) -> EtcdStore:
    return EtcdStore([etcd.endpoint], prefix="/metal3-workloads", keep_history=0)


def write(etcd: EtcdServer, *operations: Operation) -> None:
    async def run() -> None:
        async with opened(store_of(etcd)) as store:
            await store.commit(operations)

    asyncio.run(run())


def keys(etcd: EtcdServer) -> dict[str, bytes]:
    async def run() -> dict[str, bytes]:
        async with opened(store_of(etcd)) as store:
            return {item.key: item.value for item in (await store.list("/")).items}

    return asyncio.run(run())


def beat(etcd: EtcdServer) -> None:
    async def run() -> None:
        async with opened(store_of(etcd)) as store:
            await Heartbeat(store).beat()

    asyncio.run(run())


def gap_at_once(etcd: EtcdServer) -> str:
    """Return what a server says that starts with this etcd within the second of its last
    heartbeat."""

    async def run() -> str:
        async with opened(store_of(etcd)) as store:
            found = await store.get(KEY)
            assert found is not None
            return gap(found, await store.current_revision(), Record(**orjson.loads(found.value)).time) or ""

    return asyncio.run(run())


def test_backups_of_an_etcd_rotate_and_the_newest_is_restored(etcd: EtcdServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, url = tmp_path / "backups", f"etcd://127.0.0.1:1,127.0.0.1:{etcd.client_port}"
    folder.mkdir()
    backup = ["backup", "--storage", url, "--directory", str(folder), "--keep", "2"]
    write(etcd, *(Put(f"{OWN}{number}", b"no object") for number in range(3)), Put(AUTHORITY_KEY, b"key"))
    assert main(backup) == 0
    assert "no objects yet" in capsys.readouterr().err
    assert [*folder.iterdir()] == []
    beat(etcd)
    for number in range(3):
        write(etcd, Put(f"/{number}", b"x" * 100_000))
        assert main(backup) == 0
    assert "a snapshot of" in capsys.readouterr().err
    older, newest = sorted(folder.glob("metal3-workloads-*.snapshot"))
    assert {file.stat().st_mode & 0o777 for file in (older, newest)} == {0o600}
    before = keys(etcd)
    write(etcd, *(Delete(f"/{number}") for number in range(3)))
    assert main(backup) == 1
    assert "has no objects" in capsys.readouterr().err
    assert main([*backup, "--max-bytes", "2Mi"]) == 1
    assert sorted(folder.glob("metal3-workloads-*")) == [older, newest]
    assert gap_at_once(etcd) == ""
    etcd.kill()
    etcd.restore(newest, "--bump-revision=1000000000", "--mark-compacted", "--initial-cluster-token=other")
    etcd.start()
    assert keys(etcd) == before
    assert "a backup was restored" in gap_at_once(etcd), "leases get more time"
    assert main([*backup[:3], str(older)]) == 1
    assert "exists: name a new file" in capsys.readouterr().err
    write(etcd, Put("/3", bytes(1_000_000)))
    assert main([*backup, "--max-bytes", "1Mi"]) == 1
    assert "Nothing was deleted" in capsys.readouterr().err


def test_an_etcd_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "--storage", "etcd://127.0.0.1:1", str(tmp_path / "copy")]) == 1
    assert "check that it runs" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []
