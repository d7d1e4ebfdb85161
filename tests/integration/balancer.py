"""Simulate a Service: a new connection reaches one of the ready replicas, and stays there until one
side closes."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Balancer:
    """`ready`: the ports of 127.0.0.1 to which new connections are sent, in turn."""

    def __init__(self, *ready: int) -> None:
        self.ready = list(ready)
        self.port = 0
        self._turns = itertools.count()
        self._open: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept one connection."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen = self.ready[next(self._turns) % len(self.ready)]
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", chosen)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, inner_writer}
        self._open |= pair
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            self._open -= pair
            for each in pair:
                each.transport.abort()

    async def close(self) -> None:
        """End all connections."""
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*self._serving, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction, including its end. The other direction may continue."""
    with suppress(OSError, RuntimeError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def balanced(*ready: int) -> AsyncIterator[Balancer]:
    """Yield a running balancer on a free port of loopback."""
    balancer = Balancer(*ready)
    server = await asyncio.start_server(balancer.accept, "127.0.0.1", 0)
    balancer.port = server.sockets[0].getsockname()[1]
    try:
        yield balancer
    finally:
        server.close()
        await balancer.close()
        await server.wait_closed()
