"""Run a TCP proxy on a free loopback port, to cut a client off from a server that continues to
run."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Proxy:
    """Forwards to a port of 127.0.0.1 while `open`.

    While not `flowing`, connections stay and nothing is delivered."""

    def __init__(self, target: int) -> None:
        self.open = True
        self.port = 0
        self.connections = 0
        """The number of connections, including attempts."""
        self.flowing = asyncio.Event()
        self.flowing.set()
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Reset all connections, and all later ones."""
        self.open = False
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        if not self.open:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:  # nothing listens
            writer.transport.abort()
            return
        mine = {writer, inner_writer}
        self._writers |= mine
        try:
            await asyncio.gather(self._copy(reader, inner_writer), self._copy(inner_reader, writer))
        finally:
            self._writers -= mine
            for each in mine:
                each.transport.abort()

    async def close(self) -> None:
        """End all connections, including those in which nothing is delivered."""
        self.cut()
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                await self.flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """Yield a running proxy in front of a port of 127.0.0.1."""
    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
