"""Let the wall clock jump, forwards and back, under writers and a watch. Only timestamps may show
it, because the server orders nothing by the wall clock."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from storage.sqlite import SQLiteStore
from storage.testing.harness import collect, opened
from tests.faults.clock import JUMPS
from tests.faults.process import NAMESPACE, WORKLOADS, Server
from tests.faults.replicas import Replicas, Writer
from tests.faults.watcher import LAST, WORKLOAD_KEYS, Watcher, check_watch
from tests.faults.writers import workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WRITERS, BETWEEN = 8, 60
SECONDS = 120


async def test_the_clock_jumps(tmp_path: Path, figure: Callable[[str, str, object], None]) -> None:
    acknowledged, stopping = list[int](), asyncio.Event()
    async with Server(tmp_path / "server", program="tests.faults.clock") as server, asyncio.timeout(SECONDS):
        await server.start()
        await server.request("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        writers = [Writer(Replicas([server]), f"w-{n}", acknowledged.append) for n in range(WRITERS)]
        watcher = Watcher(server)
        async with asyncio.TaskGroup() as group:
            group.create_task(watcher.run())
            running = [group.create_task(writer.run(stopping)) for writer in writers]
            days = set[str]()
            for number, _ in enumerate(JUMPS):
                os.kill(server.pid, signal.SIGUSR1)
                wanted = len(acknowledged) + BETWEEN
                while len(acknowledged) < wanted:  # noqa: ASYNC110 - a list has no event
                    await asyncio.sleep(0.01)
                made = await server.request("POST", WORKLOADS, workload(f"jump-{number}", 1))
                days.add(made["metadata"]["creationTimestamp"][:10])
            stopping.set()
            await asyncio.gather(*running)
            await server.request("POST", WORKLOADS, workload(LAST, 1))
    assert len(days) >= 3, "the server's clock did not jump"
    async with opened(SQLiteStore(server.database)) as store:
        history = await collect(store, WORKLOAD_KEYS, 1, await store.current_revision())
    assert len(set(acknowledged)) == len(acknowledged) == sum(writer.wrote for writer in writers)
    assert {*acknowledged} <= {event.revision for event in history}
    assert (watcher.done, len(watcher.segments), sum(writer.moved for writer in writers)) == (True, 1, 0)
    figure("wall clock jumps, 8 writers", "jumps", len(JUMPS))
    figure("wall clock jumps, 8 writers", "events told to a client without a break", check_watch(watcher.segments, history))
