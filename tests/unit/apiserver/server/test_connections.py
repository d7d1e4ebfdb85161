"""Check what is known of a connection before it is closed."""

from __future__ import annotations

import asyncio
import socket

from apiserver.server.connections import _has_unread


async def test_bytes_that_have_arrived_are_seen_before_the_loop_reads_them() -> None:
    accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), "127.0.0.1", 0)
    async with server:
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            writer = await accepted
            assert not _has_unread(writer.transport)
            client.sendall(b"GET / HTTP/1.1")
            assert _has_unread(writer.transport), "in the same step of the loop"
        writer.close()
    assert not _has_unread(None)
