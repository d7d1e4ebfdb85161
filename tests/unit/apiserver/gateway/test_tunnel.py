"""Check that exec and port-forward pass as streams of bytes, and only they."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.unit.apiserver.gateway.harness import PODS, VIEWS, Running
from tests.unit.apiserver.server.harness import SERVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

from apiserver.server.tls import ServerTls

EXEC = f"{PODS}/p/exec?command=sh"
SPDY = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n"
WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n"
TOKEN = "Authorization: Bearer tenant-token\r\n"
ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4\r\n\r\n"


class Streams:
    """A kube-apiserver that answers upgrades with `answer` and the first data, and then echoes."""

    def __init__(self, answer: bytes = ACCEPTED) -> None:
        self.answer, self.heads, self.ended = answer, list[bytes](), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer + (b"hello" if self.answer is ACCEPTED else b""))
            while data := await reader.read(1 << 16):
                if data == b"bye":
                    break
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.ended.set()
            writer.close()


@asynccontextmanager
async def streams(gateway: Running, answer: bytes = ACCEPTED) -> AsyncIterator[Streams]:
    """Put such a server behind the gateway."""
    found = Streams(answer)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=ServerTls(SERVER.pem, SERVER.key_pem, asks=False).context)
    gateway.cluster.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    upstream = gateway.app._config.gateway.settings.upstream  # type: ignore[union-attr] # this server has a gateway
    upstream._source = gateway.cluster.kubeconfig()
    try:
        yield found
    finally:
        server.close()


async def opened(gateway: Running, head: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the head of the answer to a request, and the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.app.gateway_port, ssl=gateway.context())
    writer.write(f"{head}\r\n".encode())
    async with asyncio.timeout(60):
        return await reader.readuntil(b"\r\n\r\n"), reader, writer


async def test_both_protocols_pass_in_both_directions(gateway: Running) -> None:
    token = base64.urlsafe_b64encode(b"tenant-token").decode().rstrip("=")
    protocol = f"Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}\r\n"
    async with streams(gateway) as server:
        for head in (f"POST {EXEC} HTTP/1.1\r\nHost: x\r\n{TOKEN}{SPDY}", f"GET {EXEC} HTTP/1.1\r\nHost: x\r\n{protocol}{WEBSOCKET}"):
            answer, reader, writer = await opened(gateway, head)
            assert answer.startswith(b"HTTP/1.1 101 "), answer
            assert b"\r\nX-Stream-Protocol-Version: v4\r\n" in answer
            async with asyncio.timeout(60):
                assert await reader.readexactly(5) == b"hello"
                big = bytes(range(256)) * 8192
                writer.write(big)
                assert await reader.readexactly(len(big)) == big
                writer.write(b"bye")
                assert await reader.read() == b""
            writer.close()
        spdy, websocket = server.heads
        assert spdy.startswith(f"POST {EXEC} HTTP/1.1\r\n".encode())
        assert b"Upgrade: SPDY/3.1\r\n" in spdy
        assert b"Authorization: Bearer tenant-token\r\n" in spdy
        assert protocol.encode() in websocket
        assert b"Authorization" not in websocket


async def test_a_client_that_leaves_ends_the_stream(gateway: Running) -> None:
    async with streams(gateway) as server:
        _, reader, writer = await opened(gateway, f"POST {EXEC} HTTP/1.1\r\nHost: x\r\n{TOKEN}{SPDY}")
        assert await reader.readexactly(5) == b"hello"
        writer.transport.abort()
        async with asyncio.timeout(60):
            await server.ended.wait()


async def test_a_client_that_does_not_read_stops_the_sender(gateway: Running) -> None:
    async with streams(gateway) as server:
        _, reader, writer = await opened(gateway, f"POST {EXEC} HTTP/1.1\r\nHost: x\r\n{TOKEN}{SPDY}")
        reader._transport.pause_reading()  # type: ignore[attr-defined] # private to the library, and not in its types
        sent = 0
        while sent < 64 << 20:
            writer.write(b"x" * (1 << 16))
            try:
                async with asyncio.timeout(1):
                    await writer.drain()
            except TimeoutError:
                break
            sent += 1 << 16
        assert sent < 64 << 20, "everything is kept somewhere"
        writer.transport.abort()
        async with asyncio.timeout(60):
            await server.ended.wait()


async def test_a_refused_upgrade_is_an_ordinary_answer(gateway: Running) -> None:
    refused = b'HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"a":1}'
    async with streams(gateway, refused):
        answer, reader, writer = await opened(gateway, f"POST {EXEC} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{TOKEN}{SPDY}")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert await reader.readexactly(7) == b'{"a":1}'
        writer.close()


async def test_a_protocol_switch_that_was_not_requested_is_not_passed_on(gateway: Running) -> None:
    async with streams(gateway):
        answer = await gateway.raw(f"GET {PODS}/p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{TOKEN}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"hello" not in answer


async def test_the_view_and_ordinary_requests_are_not_upgraded(gateway: Running) -> None:
    async with streams(gateway) as server:
        for path in (f"{VIEWS}/node-0", f"{VIEWS}/node-0/proxy", f"{PODS}/p", "/apis", f"{VIEWS}?watch=1"):
            for upgrade in (SPDY, WEBSOCKET):
                answer = await gateway.raw(
                    f"GET {path} HTTP/1.1\r\nHost: x\r\n{TOKEN}{upgrade}\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n".encode()
                )
                assert answer.startswith(b"HTTP/1.1 400 "), (path, upgrade, answer)
        assert server.heads == []
