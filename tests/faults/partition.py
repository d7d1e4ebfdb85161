"""Run three members of etcd whose mutual traffic can be cut, while their clients reach each of
them.

The other members reach a member through a proxy. Members identify themselves at the beginning of
each connection (X-Server-From). So a connection between two separated members is known in either
direction: it stays, and nothing is delivered."""

from __future__ import annotations

import asyncio
import json
import re
import urllib.request
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from tests.integration.etcdserver import EtcdServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

NAMES = ("m1", "m2", "m3")
SOURCE = re.compile(rb"^X-Server-From: *([0-9a-f]+) *\r$", re.MULTILINE | re.IGNORECASE)
SECONDS = 60


class Members:
    """The members. `isolate` separates one from the others; `heal` ends that."""

    def __init__(self, servers: Sequence[EtcdServer]) -> None:
        self.servers = servers
        self._ids: dict[str, str] = {}
        self._alone = ""
        self._together = asyncio.Event()
        self._together.set()
        self._serving: set[asyncio.Task[None]] = set()

    async def isolate(self, server: EtcdServer) -> None:
        """Let nothing pass between this member and the others from now on."""
        if not self._ids:
            reported = await asyncio.to_thread(_ask, server, "cluster/member/list")
            self._ids = {member["name"]: f"{int(member['ID']):x}" for member in reported["members"]}
        self._alone = server.name
        self._together.clear()

    def heal(self) -> None:
        """End the isolation. What was held back is delivered."""
        self._alone = ""
        self._together.set()

    async def leader(self) -> EtcdServer:
        """Return the leader, as soon as all members agree."""
        async with asyncio.timeout(SECONDS):
            while True:
                states = [await asyncio.to_thread(_ask, server, "maintenance/status") for server in self.servers]
                for server, state in zip(self.servers, states, strict=True):
                    if {each.get("leader") for each in states} == {state["header"]["member_id"]}:
                        return server
                await asyncio.sleep(0.05)

    async def link(self, server: EtcdServer) -> asyncio.Server:
        """Start the proxy through which the others reach a member, and set its port."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._connection(server, reader, writer))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

        proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
        server.advertised = proxy.sockets[0].getsockname()[1]
        return proxy

    async def close(self) -> None:
        """End all connections."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _connection(self, target: EtcdServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                found = SOURCE.search(head)
                source = found[1].decode() if found else ""
                await self._passes(source, target)
                inner_reader, inner = await asyncio.open_connection("127.0.0.1", target.peer_port)
                writers.append(inner)
                inner.write(head)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._copy(reader, inner, source, target))
                    group.create_task(self._copy(inner_reader, writer, source, target))
        finally:
            for each in writers:
                each.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, source: str, target: EtcdServer) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._passes(source, target)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()

    async def _passes(self, source: str, target: EtcdServer) -> None:
        """Wait while the two are separated. A connection without identification may be any
        member's."""
        while self._alone and (target.name == self._alone or source in ("", self._ids[self._alone])):
            await self._together.wait()


@asynccontextmanager
async def members(folder: Path, *flags: str) -> AsyncIterator[Members]:
    """Yield a working cluster of three members."""
    made = Members([EtcdServer(folder, name, flags=flags) for name in NAMES])
    async with AsyncExitStack() as stack:
        for server in made.servers:
            stack.callback((await made.link(server)).close)
        stack.push_async_callback(made.close)
        for server in made.servers:
            server.peers = {other.name: other.advertised for other in made.servers}
            stack.callback(server.kill)
            server.start(wait=False)
        await asyncio.gather(*(asyncio.to_thread(server.wait) for server in made.servers))
        yield made


def _ask(server: EtcdServer, what: str) -> Any:
    """Send a request to etcd's JSON gateway."""
    with urllib.request.urlopen(urllib.request.Request(f"{server.endpoint}/v3/{what}", b"{}"), timeout=30) as answer:
        return json.load(answer)
