"""Check that several API servers over one etcd look like one. A write that one of them has
acknowledged is visible at all others. A client whose server is killed continues at another one, and
so does its watch."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from storage.etcd.address import store_at
from storage.testing.harness import collect, opened
from tests.faults.process import WORKLOADS
from tests.faults.replicas import Writer, follow, replicas
from tests.faults.watcher import LAST, WORKLOAD_KEYS, Watcher, check_watch
from tests.faults.writers import note_of, noted, revision_of, workload
from tests.integration.etcdserver import EtcdServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from storage.base import Event

COUNT, WRITERS, WATCHERS = 3, 16, 6
ROUNDS = 60
SECONDS = 120


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path / "etcd", flags=["--unsafe-no-fsync"])
    server.start()
    try:
        yield server
    finally:
        server.kill()


def address(etcd: EtcdServer) -> str:
    return f"etcd://127.0.0.1:{etcd.client_port}"


async def test_what_one_acknowledged_all_others_show(etcd: EtcdServer, tmp_path: Path, figure: Callable[[str, str, object], None]) -> None:
    async with replicas(tmp_path / "servers", [address(etcd)] * COUNT) as servers:
        answer = await servers.any().request("POST", WORKLOADS, workload("w", 0))
        for number in range(1, ROUNDS + 1):
            writer, *readers = random.Random(number).sample(servers.alive, COUNT)
            answer = await writer.request("PUT", f"{WORKLOADS}/w", workload("w", number, answer["metadata"]["resourceVersion"]))
            found = await asyncio.gather(*(reader.request("GET", f"{WORKLOADS}/w") for reader in readers))
            lists = await asyncio.gather(*(reader.request("GET", WORKLOADS) for reader in readers))
            assert [note_of(each) for each in found] == [number] * len(readers)
            assert [revision_of(item) for each in lists for item in each["items"]] == [revision_of(answer)] * len(readers)
            assert all(revision_of(each) >= revision_of(answer) for each in lists)
    figure(f"{COUNT} replicas over etcd", "writes that the others showed at once, and went on from", ROUNDS)


async def test_kill_9_of_replicas_under_watches(
    etcd: EtcdServer, tmp_path: Path, kills: int, seed: int, figure: Callable[[str, str, object], None]
) -> None:
    moments, acknowledged, stopping = random.Random(seed), list[int](), asyncio.Event()
    async with replicas(tmp_path / "servers", [address(etcd)] * COUNT) as servers:
        writers = [Writer(servers, f"w-{n}", acknowledged.append) for n in range(WRITERS)]
        watchers = [Watcher(servers.any()) for _ in range(WATCHERS)]
        async with asyncio.timeout(SECONDS + 60 * kills), asyncio.TaskGroup() as group:
            for watcher in watchers:
                group.create_task(follow(watcher, servers))
            writing = [group.create_task(writer.run(stopping)) for writer in writers]
            for _ in range(kills):
                await servers.replace(moments.choice(servers.alive))
            stopping.set()
            await asyncio.gather(*writing)
            await servers.any().request("POST", WORKLOADS, workload(LAST, 1))
    history = await stored(etcd)
    for writer in writers:
        notes = [event.value for event in history if event.key == f"{WORKLOAD_KEYS}{writer.name}"]
        assert [f'"checksum":"{noted(n)}"'.encode() in value for n, value in enumerate(notes, 1)] == [True] * writer.wrote
    assert len(set(acknowledged)) == len(acknowledged) == sum(writer.wrote for writer in writers)
    assert [len(watcher.segments) for watcher in watchers] == [1] * WATCHERS, "one had to list again"
    reported = sum(check_watch(watcher.segments, history) for watcher in watchers)
    what = f"kill -9 of one of {COUNT} replicas over etcd, {WRITERS} writers"
    for name, value in {
        "kills": kills,
        "writes acknowledged, each there once": len(acknowledged),
        "times a writer went to another replica": sum(writer.moved for writer in writers),
        f"events told to {WATCHERS} clients that watched through all of it, and never listed again": reported,
    }.items():
        figure(what, name, value)


async def stored(etcd: EtcdServer) -> list[Event]:
    """Read the history of all Workloads."""
    async with opened(store_at(address(etcd))) as store:
        return await collect(store, WORKLOAD_KEYS, 1, await store.current_revision())
