"""Partition members of etcd, each with an API server of its own. A server on the minority's side
neither serves outdated data nor acknowledges anything. Afterwards it catches up by itself, and its
watches have missed nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from storage.etcd.address import store_at
from storage.testing.harness import collect, opened
from tests.faults.partition import members
from tests.faults.process import WORKLOADS, Refused, Server
from tests.faults.replicas import GONE, Writer, replicas
from tests.faults.watcher import LAST, WORKLOAD_KEYS, Watcher, check_watch
from tests.faults.writers import noted, workload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from storage.base import Event

WRITERS = 6
SECONDS = 90


async def test_a_minority_answers_with_errors_and_recovers_by_itself(
    tmp_path: Path, kills: int, figure: Callable[[str, str, object], None]
) -> None:
    rounds, acknowledged, stopping = max(2, kills // 8), list[int](), asyncio.Event()
    refused, away = 0, list[float]()
    async with members(tmp_path / "etcd", "--unsafe-no-fsync") as etcd:
        addresses = [f"etcd://127.0.0.1:{server.client_port}" for server in etcd.servers]
        async with replicas(tmp_path / "servers", addresses) as servers:
            writers = [Writer(servers, f"w-{n}", acknowledged.append) for n in range(WRITERS)]
            watchers = [Watcher(server) for server in servers.alive]
            async with asyncio.timeout(SECONDS * (2 + rounds)), asyncio.TaskGroup() as group:
                watching = [group.create_task(_stay(watcher)) for watcher in watchers]
                writing = [group.create_task(writer.run(stopping)) for writer in writers]
                for number in range(rounds):
                    leader = etcd.servers.index(await etcd.leader())
                    alone = leader if number % 2 else (leader + 1) % len(etcd.servers)
                    minority = servers.alive[alone]
                    majority = servers.alive[(alone + 1) % len(etcd.servers)]
                    await _written(majority, f"kept-{number}")
                    await minority.until(f"{WORKLOADS}/kept-{number}", 200)
                    await etcd.isolate(etcd.servers[alone])
                    await _written(majority, f"mark-{number}")
                    refused += await _refuses(minority, number)
                    etcd.heal()
                    away.append(await _recovers(minority, f"mark-{number}"))
                    for name in (f"lost-{number}", f"kept-{number}"):
                        await _agree(servers.alive, name)
                stopping.set()
                await asyncio.gather(*writing)
                await _written(servers.any(), LAST)
                await asyncio.gather(*watching)
        history = await _stored(addresses[0])
    for writer in writers:
        notes = [event.value for event in history if event.key == f"{WORKLOAD_KEYS}{writer.name}"]
        assert [f'"checksum":"{noted(n)}"'.encode() in value for n, value in enumerate(notes, 1)] == [True] * writer.wrote
    assert len(set(acknowledged)) == len(acknowledged) == sum(writer.wrote for writer in writers)
    reported = sum(check_watch(watcher.segments, history) for watcher in watchers)
    assert [len(watcher.segments) for watcher in watchers] == [1] * len(watchers), "one had to list again"
    what = f"one of three members of etcd cut off from the others, leader and follower in turn, {WRITERS} writers"
    for name, value in {
        "times cut off": rounds,
        "requests that the minority's server refused, of as many": refused,
        "seconds until it answered again afterwards, at most": f"{max(away):.1f}",
        "writes acknowledged, each there once": len(acknowledged),
        "events told to a client of each server that watched through all of it, and never listed again": reported,
    }.items():
        figure(what, name, value)


async def _stay(watcher: Watcher) -> None:
    """Watch at the same server until the last object was seen."""
    while not watcher.done:
        with suppress(*GONE):
            await watcher.run()


async def _written(server: Server, name: str) -> None:
    """Write the object once the others have a leader. An attempt that seemed to fail may have
    written it."""
    while True:
        try:
            await server.request("POST", WORKLOADS, workload(name, 1))
            return
        except GONE:
            continue
        except Refused as error:
            if error.status == 409:
                return
            if error.status != 503:
                raise


async def _refuses(server: Server, number: int) -> int:
    """Check that the server answers nothing that needs the other members, and acknowledges nothing.
    Return the number of requests."""
    requests: list[Awaitable[dict[str, Any]]] = [
        server.request("GET", f"{WORKLOADS}/mark-{number}"),
        server.request("GET", f"{WORKLOADS}/kept-{number}"),
        server.request("GET", WORKLOADS),
        server.request("GET", f"{WORKLOADS}?limit=1"),
        server.request("POST", WORKLOADS, workload(f"lost-{number}", 1)),
        server.request("DELETE", f"{WORKLOADS}/kept-{number}"),
    ]
    answers = await asyncio.gather(*requests, return_exceptions=True)
    for answer in answers:
        assert isinstance(answer, (Refused, *GONE)), f"it answered {str(answer)[:300]}"
        assert not isinstance(answer, Refused) or answer.status in (503, 504), answer
    shown = await server.request("GET", f"{WORKLOADS}?resourceVersion=0")
    names = [item["metadata"]["name"] for item in shown["items"]]
    assert f"mark-{number}" not in names, "who asks for any state gets one that was, and it was cut off before"
    assert f"kept-{number}" in names
    return len(answers)


async def _recovers(server: Server, name: str) -> float:
    """Wait until the server knows what the others have acknowledged meanwhile, and return the
    seconds."""
    began = time.monotonic()
    await server.until(f"{WORKLOADS}/{name}", 200)
    return time.monotonic() - began


async def _agree(servers: Sequence[Server], name: str) -> None:
    """Wait until all servers agree on a write of unknown outcome. It may still succeed late, but
    then for all of them."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await asyncio.gather(*(server.status(f"{WORKLOADS}/{name}") for server in servers))
            if set(found) in ({200}, {404}):
                return


async def _stored(address: str) -> list[Event]:
    """Read the history of all Workloads."""
    async with opened(store_at(address)) as store:
        return await collect(store, WORKLOAD_KEYS, 1, await store.current_revision())
