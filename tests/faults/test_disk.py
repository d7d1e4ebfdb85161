"""Check that a full disk and a damaged database lose nothing acknowledged, and that the recovery
that the error describes works."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from storage.sqlite import SQLiteStore
from storage.testing.harness import opened
from tests.faults.process import NAMESPACE, WORKLOADS, Server, cli
from tests.faults.writers import revision_of, workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 60


def damage(path: Path) -> None:
    """Overwrite some pages in the middle of the database, once the log has been written back."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[8192:40_960] = b"\xa5" * (40_960 - 8192)
    path.write_bytes(content)


@pytest.mark.parametrize("limit", [200_000, 1_000_000])
async def test_a_full_disk(tmp_path: Path, limit: int, figure: Callable[[str, str, object], None]) -> None:
    path = tmp_path / "db"
    command = [sys.executable, "-m", "tests.faults.full_disk", str(path), str(limit)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    (refused,) = [line for line in lines if line[0] == "refused"]
    acknowledged = {line[0]: int(line[1]) for line in lines if line[0] != "refused"}
    before = lines.index(refused)
    assert int(refused[2]) == 2 * before > 0  # reads succeeded meanwhile
    async with opened(SQLiteStore(path)) as store:
        there = {item.key: item.revision for item in (await store.list("")).items}
    assert there == {key: revision for name, revision in acknowledged.items() for key in (name, f"{name}/too")}
    assert len(set(acknowledged.values())) == len(acknowledged)
    figure(f"disk full at {limit} bytes", "acknowledged before and after, all there", len(acknowledged))


async def test_a_damaged_database_and_its_way_out(tmp_path: Path, figure: Callable[[str, str, object], None]) -> None:
    backup = tmp_path / "backup"
    async with Server(tmp_path / "server") as server:
        await server.start()
        await server.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        await server.request("POST", WORKLOADS, workload("kept", 1))
        storage = f"sqlite:///{server.database}"
        await cli("backup", "--storage", storage, str(backup))
        lost = await server.request("POST", WORKLOADS, workload("lost", 1))
        await server.kill()
        assert server.database.with_name("db-wal").exists(), "the backup took the server's log away"
        damage(server.database)
        with pytest.raises(AssertionError, match="metal3-workloads restore"):
            await server.start()
        await cli("restore", str(backup), "--storage", storage, "--force")
        await server.start()
        assert [item["metadata"]["name"] for item in (await server.request("GET", WORKLOADS))["items"]] == ["kept"]
        assert revision_of(await server.request("POST", WORKLOADS, workload("new", 1))) > revision_of(lost)
    figure("damaged database", "refused, restored as told, revisions go on above", 1)
