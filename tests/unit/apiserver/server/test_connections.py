"""Serve few clients on one port, in memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from apiserver.server.connections import Connections
from tests.unit.controllers.fakeapi import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Busy:
    """Keep requests waiting until it is over."""

    def __init__(self) -> None:
        self.over, self.waiting = asyncio.Event(), 0


@asynccontextmanager
async def few(limit: int, seconds: float = 60.0, busy: Busy | None = None) -> AsyncIterator[int]:
    """Serve a port for few clients, and yield its number. With `busy`, requests wait for it."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if busy is not None:
            busy.waiting += 1
            await busy.over.wait()
        return web.Response(text="ok")

    connections = Connections.few(answer, limit, seconds)
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await connections.shutdown(0)


async def ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request, and keep the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return reader, writer


async def test_clients_that_keep_connections_lock_nobody_out() -> None:
    async with few(3) as port, asyncio.timeout(60):
        kept = [await ask(port) for _ in range(10)]
        for reader, _ in kept[7:]:
            assert b"200 OK" in await reader.readuntil(b"ok")
        for reader, _ in kept[:7]:
            await ends(reader)
        for _, writer in kept:
            writer.close()


async def ends(reader: asyncio.StreamReader) -> None:
    """Read until the server has closed the connection."""
    try:
        while await reader.read(1024):
            pass
    except ConnectionError:
        pass


async def test_a_connection_in_use_is_not_replaced() -> None:
    busy = Busy()
    async with few(2, busy=busy) as port, asyncio.timeout(60):
        used = [await ask(port) for _ in range(2)]
        await eventually(lambda: busy.waiting == 2)
        refused, writer = await ask(port)
        await ends(refused)
        busy.over.set()
        for reader, _ in used:
            assert b"200 OK" in await reader.readuntil(b"ok")
        for _, open_ in [*used, (refused, writer)]:
            open_.close()


async def test_headers_that_do_not_come_end_the_connection() -> None:
    async with few(3, seconds=0.05) as port, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        await ends(reader)
        writer.close()
