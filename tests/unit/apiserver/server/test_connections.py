"""Serve few clients on one port, in memory."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from apiserver.server.connections import Connections
from tests.unit.controllers.fakeapi import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

LARGE = bytes(4 * 1024 * 1024)
"""An answer that no socket's buffers hold."""
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


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
    writer.write(REQUEST)
    return reader, writer


async def test_clients_that_keep_connections_lock_no_other_out() -> None:
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


@pytest.mark.parametrize("first", [1, 2])
async def test_clients_that_do_not_wait_for_answers_lock_no_other_out(first: int) -> None:
    busy = Busy()
    async with few(2, busy=busy) as port, asyncio.timeout(50):
        used = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for _, writer in used:
            writer.write(REQUEST * first)
        await eventually(lambda: busy.waiting == 2)
        for _, writer in used:
            writer.write(REQUEST * (2 - first))
        reader, new = await ask(port)
        await eventually(lambda: busy.waiting == 3)
        busy.over.set()
        assert b"200 OK" in await reader.readuntil(b"ok")
        for _, open_ in [*used, (reader, new)]:
            open_.close()


async def test_headers_that_do_not_come_end_the_connection() -> None:
    async with few(3, seconds=0.05) as port, asyncio.timeout(60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        await ends(reader)
        writer.close()


@asynccontextmanager
async def large(limit: int = 10, write_seconds: float = 3600.0) -> AsyncIterator[tuple[int, Connections]]:
    """Serve large answers, and small ones at /small. Yield the port's number and its
    connections."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="ok") if request.path == "/small" else web.Response(body=LARGE)

    connections = Connections.few(answer, limit, write_seconds=write_seconds)
    server = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connections
    finally:
        server.close()
        async with asyncio.timeout(50):
            await connections.shutdown(0)


@contextmanager
def deaf(port: int, count: int = 1, request: bytes = REQUEST) -> Iterator[list[socket.socket]]:
    """Yield clients with small buffers, each of which has sent requests and reads nothing."""
    clients = [socket.socket() for _ in range(count)]
    try:
        for client in clients:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", port))
            client.setblocking(False)
            client.send(request)
        yield clients
    finally:
        for client in clients:
            client.close()


def stuck(connections: Connections) -> int:
    """Return how many connections hold answers that their clients do not read."""
    return sum(one.writing_paused for one in connections.connections)


async def small(port: int) -> bytes:
    """Ask a new connection for the small answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_a_client_that_does_not_read_loses_its_connection() -> None:
    async with large(write_seconds=0.2) as (port, connections), asyncio.timeout(50):
        with deaf(port, 3, REQUEST * 5) as clients:
            await eventually(lambda: connections.requests_count >= 3)
            transports = [one.transport for one in connections.connections]
            await eventually(lambda: not connections.connections)
            assert [transport.get_write_buffer_size() for transport in transports if transport is not None] == [0, 0, 0]
            assert all([await reset(client) for client in clients])


async def reset(client: socket.socket) -> bool:
    """Read until the connection ends, and return whether the answer was cut."""
    received = 0
    try:
        while data := await asyncio.get_running_loop().sock_recv(client, 65536):
            received += len(data)
    except ConnectionError:
        pass
    return received < len(LARGE)


async def test_a_client_that_reads_single_bytes_loses_its_connection() -> None:
    async with large(write_seconds=0.5) as (port, connections), asyncio.timeout(50):
        with deaf(port) as (client,):
            await eventually(lambda: stuck(connections) == 1)
            while connections.connections:
                await asyncio.sleep(0.02)
                try:
                    await asyncio.get_running_loop().sock_recv(client, 1)
                except ConnectionError:
                    break
            await eventually(lambda: not connections.connections)


async def test_a_slow_client_that_reads_gets_all_of_a_large_answer() -> None:
    seconds, loop = 1.0, asyncio.get_running_loop()
    async with large(write_seconds=seconds) as (port, connections), asyncio.timeout(50):
        with deaf(port) as (client,):
            await eventually(lambda: stuck(connections) == 1)
            began, received = loop.time(), 0
            while received < len(LARGE):
                # slow until several checks have passed, then fast
                slow = loop.time() < began + 3 * seconds
                data = await loop.sock_recv(client, 4096 if slow else 65536)
                assert data, "the answer was cut"
                received += len(data)
                await asyncio.sleep(0.01 if slow else 0)
            assert loop.time() > began + 3 * seconds, "it was not slow"


async def test_clients_that_do_not_read_lock_no_other_out() -> None:
    async with large(limit=4) as (port, connections), asyncio.timeout(50):
        with deaf(port, 4, REQUEST * 5):
            await eventually(lambda: stuck(connections) == 4)
            for _ in range(6):
                assert b"200 OK" in await small(port)


async def test_a_closed_connection_does_not_wait_for_its_client() -> None:
    closing = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with large(write_seconds=0.2) as (port, connections), asyncio.timeout(50):
        with deaf(port, 2, closing):
            await eventually(lambda: connections.requests_count == 2)
            await eventually(lambda: not connections.connections)


async def test_an_idle_connection_with_unread_bytes_ends() -> None:
    """The bytes are too few to pause writing, so only the close after idle time finds them."""
    async with large(write_seconds=0.2) as (port, connections), asyncio.timeout(50):
        with deaf(port, request=b""):
            await eventually(lambda: len(connections.connections) == 1)
            (connection,) = connections.connections
            transport = connection.transport
            assert transport is not None
            while not transport.get_write_buffer_size():
                transport.write(bytes(8192))
            assert not connection.writing_paused
            connection.force_close()
            await eventually(lambda: not connections.connections)


async def test_clients_that_do_not_read_do_not_hold_a_stopping_server() -> None:
    async with large() as (port, connections), asyncio.timeout(50):
        with deaf(port, 3, REQUEST * 5):
            await eventually(lambda: stuck(connections) == 3)
            connections.wind_down()
            connections.pre_shutdown()
            await connections.shutdown(0)
            await connections.closed(30)
            assert not connections.connections
