"""Restore etcd from a snapshot that is older than what clients have seen, under a running server
and before it starts.

With larger revisions everything continues, and clients list again. Without them, revisions would be
given out twice, so the server refuses the store.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.faults.process import NAMESPACE, WORKLOADS, Refused, Server
from tests.faults.replicas import GONE
from tests.faults.watcher import LAST, Watcher
from tests.faults.writers import note_of, revision_of, workload
from tests.integration.etcdserver import EtcdServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

BUMP = 1_000_000_000
AS_TOLD = (f"--bump-revision={BUMP}", "--mark-compacted", "--initial-cluster-token=restored")
BEFORE, AFTER = 20, 15
SECONDS = 60


class Installation:
    """Hold an etcd and a server over it. `given` maps the revisions that clients received to the
    received objects."""

    def __init__(self, etcd: EtcdServer, server: Server) -> None:
        self.etcd, self.server = etcd, server
        self.given: dict[int, int] = {}
        self._revision = ""

    async def write(self, count: int) -> None:
        for number in range(len(self.given), len(self.given) + count):
            path, method = (f"{WORKLOADS}/w", "PUT") if self._revision else (WORKLOADS, "POST")
            answer = await self.server.request(method, path, workload("w", number, self._revision))
            self._revision = answer["metadata"]["resourceVersion"]
            assert revision_of(answer) not in self.given, "a revision was given out twice"
            self.given[revision_of(answer)] = number

    async def restored(self, *options: str, snapshot: Path) -> None:
        """Take a snapshot, write more, and restore the snapshot."""
        await self.write(BEFORE)
        await asyncio.to_thread(self.etcd.snapshot, snapshot)
        await self.write(AFTER)
        await asyncio.to_thread(self.etcd.kill)
        await asyncio.to_thread(self.etcd.restore, snapshot, *options)
        await asyncio.to_thread(self.etcd.start)


@pytest.fixture
async def installation(tmp_path: Path) -> AsyncIterator[Installation]:
    etcd = EtcdServer(tmp_path / "etcd", flags=["--unsafe-no-fsync"])
    try:
        await asyncio.to_thread(etcd.start)
        async with Server(tmp_path / "server", f"etcd://127.0.0.1:{etcd.client_port}?timeout=2") as server:
            await server.start()
            await server.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            yield Installation(etcd, server)
    finally:
        etcd.kill()


@pytest.mark.parametrize("running", [True, False])
async def test_restored_as_documented_it_continues(
    installation: Installation, running: bool, tmp_path: Path, figure: Callable[[str, str, object], None]
) -> None:
    await installation.write(1)
    watcher = Watcher(installation.server)
    watching = asyncio.create_task(watcher.run())
    await installation.restored(*AS_TOLD, snapshot=tmp_path / "snapshot")
    last = max(installation.given)
    if not running:
        await installation.server.kill()
        with suppress(*GONE):
            await watching
        await installation.server.start()
        watching = asyncio.create_task(watcher.run())
    await installation.server.until("/readyz", 200)
    found = await installation.server.request("GET", f"{WORKLOADS}/w")
    assert note_of(found) == BEFORE, "the snapshot's state"
    assert revision_of(found) in installation.given, "the object is as it was written then"
    answer = await installation.server.request("PUT", f"{WORKLOADS}/w", workload("w", 1000, found["metadata"]["resourceVersion"]))
    assert revision_of(answer) > last + BUMP / 2
    await installation.server.request("POST", WORKLOADS, workload(LAST, 1))
    async with asyncio.timeout(SECONDS):
        await watching
    assert watcher.done
    assert len(watcher.segments) == 2, "who knows what is no more has to list again, once"
    assert watcher.segments[1].after > last
    figure(f"etcd restored with larger revisions, server {'running' if running else 'started after'}", "clients told to list again", 1)


@pytest.mark.parametrize("token", ["etcd-cluster", "restored"])
async def test_restored_with_revisions_that_were_given_out_it_is_refused(
    installation: Installation, token: str, tmp_path: Path, figure: Callable[[str, str, object], None]
) -> None:
    await installation.restored(f"--initial-cluster-token={token}", snapshot=tmp_path / "snapshot")
    await installation.server.until("/livez", 500)
    assert [await installation.server.status(path) for path in (WORKLOADS, f"{WORKLOADS}/w", "/readyz")] == [503, 503, 500]
    with pytest.raises(Refused):
        await installation.server.request("POST", WORKLOADS, workload("new", 1))
    assert "--bump-revision" in await installation.server.kill()
    if token != "etcd-cluster":  # a server started since can only tell by a new token
        with pytest.raises(AssertionError, match="etcdutl snapshot restore --bump-revision"):
            await installation.server.start()
    await asyncio.to_thread(installation.etcd.kill)
    # The recovery that the message describes.
    await asyncio.to_thread(installation.etcd.restore, tmp_path / "snapshot", *AS_TOLD)
    await asyncio.to_thread(installation.etcd.start)
    await installation.server.start()
    found = await installation.server.request("GET", f"{WORKLOADS}/w")
    assert note_of(found) == BEFORE - 1
    await installation.server.request("PUT", f"{WORKLOADS}/w", workload("w", 1000, found["metadata"]["resourceVersion"]))
    figure(f"etcd restored with revisions given out already, token {token}", "refused, restored as told", 1)
