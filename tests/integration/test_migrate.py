"""Run `migrate` between SQLite and a real etcd, there and back, by the command line."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from apiserver.cli.main import main
from storage.base import Compacted, Delete, Put
from storage.etcd.address import store_at
from storage.sqlite import SQLiteStore
from storage.sqlite.offline import raise_revision
from storage.testing.harness import collect, opened, put
from storage.transfer import MARK
from tests.integration.etcdserver import EtcdServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storage.base import KeyValue, Store

KEYS = 2_000


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path_factory.mktemp("etcd"), flags=["--unsafe-no-fsync"])
    server.start()
    try:
        yield server
    finally:
        server.kill()


def address(etcd: EtcdServer, prefix: str) -> str:
    return f"etcd://127.0.0.1:{etcd.client_port}/{prefix}?keep-history=0"


async def content(store: Store) -> tuple[list[KeyValue], int]:
    async with opened(store):
        page = await store.list("")
        return [*page.items], page.revision


async def fill(path: Path) -> None:
    async with opened(SQLiteStore(path, synchronous="off")) as store:
        await asyncio.gather(*(store.commit([Put(f"/{n}", b"%d" % n * 50)]) for n in range(KEYS)))
        await store.commit([Delete("/1")])
    raise_revision(path, 10_000)


def test_there_and_back(tmp_path: Path, etcd: EtcdServer) -> None:
    first, second, between = tmp_path / "first", tmp_path / "second", address(etcd, "between")
    asyncio.run(fill(first))
    assert main(["migrate", "--from", f"sqlite:///{first}", "--to", between]) == 0
    before, given = asyncio.run(content(SQLiteStore(first)))
    middle, reached = asyncio.run(content(store_at(between)))
    assert [(item.key, item.value) for item in middle] == [(item.key, item.value) for item in before]
    assert min(item.revision for item in middle) > given == 10_000
    asyncio.run(watches_start_again(between, given, reached))
    assert main(["migrate", "--from", between, "--to", f"sqlite:///{second}"]) == 0
    after, _ = asyncio.run(content(SQLiteStore(second)))
    assert [(item.key, item.value) for item in after] == [(item.key, item.value) for item in before]
    assert min(item.revision for item in after) > reached


async def watches_start_again(address: str, given: int, reached: int) -> None:
    async with opened(store_at(address)) as store:
        with pytest.raises(Compacted):
            await collect(store, "", given, reached)
        latest = await put(store, "/next")
        await store.commit([Delete("/next")])
        assert latest > reached


def test_killed_and_run_again(tmp_path: Path, etcd: EtcdServer) -> None:
    source, target = tmp_path / "source", address(etcd, "killed")
    asyncio.run(fill(source))
    # The revision has far to climb, so that there is time to kill the command.
    raise_revision(source, asyncio.run(content(store_at(target)))[1] + 20_000)
    command = [sys.executable, "-m", "apiserver.cli.main", "migrate", "--from", f"sqlite:///{source}", "--to", target]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.send_signal(signal.SIGKILL)
    assert line.startswith("revisions: ")
    assert [item.key for item in asyncio.run(content(store_at(target)))[0]] == [MARK]
    assert main(command[3:]) == 0
    assert [item.key for item in asyncio.run(content(store_at(target)))[0]] == [
        item.key for item in asyncio.run(content(SQLiteStore(source)))[0]
    ]
