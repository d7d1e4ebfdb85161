"""Run several API servers over one etcd, and clients that switch to another one when theirs is
gone."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.faults.process import NAMESPACE, WORKLOADS, Refused, Server
from tests.faults.writers import note_of, revision_of, workload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from tests.faults.watcher import Watcher

GONE = (aiohttp.ClientError, TimeoutError, ConnectionError)
"""The errors by which a client notices that its server is gone."""


@dataclass
class Replicas:
    """The replicas. `alive`: those that answer, as far as is known."""

    alive: list[Server] = field(default_factory=list)
    _turns: itertools.count[int] = field(default_factory=itertools.count)

    def any(self) -> Server:
        """Return the next one, as a load balancer would choose."""
        return self.alive[next(self._turns) % len(self.alive)]

    async def replace(self, server: Server) -> None:
        """Kill one, and start it again. It is used meanwhile, until clients notice."""
        await server.kill()
        self.alive.remove(server)
        await server.start()
        self.alive.append(server)


@asynccontextmanager
async def replicas(folder: Path, storages: Sequence[str]) -> AsyncIterator[Replicas]:
    """Start one replica for each address of the storage, and create the namespace."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Server(folder, storage)) for storage in storages]
        await asyncio.gather(*(server.start() for server in servers))
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await servers[0].request("POST", "/api/v1/namespaces", namespace)
        yield Replicas(servers)


class Writer:
    """Writes one Workload repeatedly, each time with the next number and the resourceVersion of the
    last.

    If the answer to a write is lost, its outcome is found by writing again: its resourceVersion
    lets it happen only once."""

    def __init__(self, replicas: Replicas, name: str, acknowledged: Callable[[int], None]) -> None:
        self._replicas, self.name, self._acknowledged = replicas, name, acknowledged
        self._path = f"{WORKLOADS}/{name}"
        self._server = replicas.any()
        self._revision = ""
        self.wrote = self.moved = 0

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            answer = await self._write(self.wrote + 1)
            self.wrote, self._revision = self.wrote + 1, answer["metadata"]["resourceVersion"]
            self._acknowledged(revision_of(answer))

    async def _write(self, number: int) -> dict[str, Any]:
        method, path = ("PUT", self._path) if self._revision else ("POST", WORKLOADS)
        unknown = False
        while True:
            try:
                return await self._server.request(method, path, workload(self.name, number, self._revision))
            except GONE:
                pass
            except Refused as error:
                if error.status == 409 and unknown:
                    return await self._found(number)
                if error.status != 503:
                    raise
            unknown = True
            self.moved += 1
            self._server = self._replicas.any()

    async def _found(self, number: int) -> dict[str, Any]:
        """Return the object after a lost answer: the first attempt happened, so the object must be
        its result."""
        while True:
            try:
                found = await self._server.request("GET", self._path)
            except GONE:
                self._server = self._replicas.any()
                continue
            except Refused as error:
                if error.status != 503:
                    raise
                self._server = self._replicas.any()
                continue
            assert note_of(found) == number, f"{self.name} has {note_of(found)} instead of {number}"
            return found


async def follow(watcher: Watcher, replicas: Replicas) -> None:
    """Run the watcher until it has seen the last object, at any available replica."""
    while not watcher.done:
        with suppress(*GONE):
            await watcher.run()
        watcher.server = replicas.any()
