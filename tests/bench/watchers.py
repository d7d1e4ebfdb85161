"""Run many watches in a process of their own, with the least reading cost: `python -m
tests.bench.watchers HOST PORT CA CRT KEY PATH COUNT`.

It prints "ready" when every watch has begun, and the number of events received so far for each line
on stdin. It ends with stdin. Events are counted by their first bytes in the stream; nothing is
decoded.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, cast

import uvloop

from tests.bench.target import client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

EVENT = b'{"type":"MODIFIED"'
CONNECT_SECONDS = 120.0
AT_ONCE = 32
"""The number of concurrent handshakes."""


class Count:
    """The events that all watches have received, and which watches have begun or ended."""

    def __init__(self) -> None:
        self.events = self.ended = 0


class Watch(asyncio.Protocol):
    """One connection with one watch on it."""

    def __init__(self, request: bytes, count: Count) -> None:
        self._request, self._count = request, count
        self._rest = b""
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        cast("asyncio.Transport", transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the events."""
        if not self.begun.done():
            if data.startswith(b"HTTP/1.1 200"):
                self.begun.set_result(None)
            else:
                self.begun.set_exception(RuntimeError(f"the watch was refused: {data[:300]!r}"))
        self._count.events += (self._rest + data).count(EVENT)
        self._rest = data[1 - len(EVENT) :]

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a watch that ends early."""
        self._count.ended += 1
        if not self.begun.done():
            self.begun.set_exception(ConnectionError("the connection was closed"))


async def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    host, port, authority, certificate, key, path, count = arguments
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n\r\n".encode()
    context, total = client_context(authority, certificate, key), Count()
    async with asyncio.timeout(CONNECT_SECONDS):
        await _connect(host, int(port), context, request, int(count), total)
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while await lines.readline():
        if total.ended:
            raise RuntimeError(f"{total.ended} watches have ended")
        print(total.events, flush=True)


async def _connect(host: str, port: int, context: ssl.SSLContext, request: bytes, count: int, total: Count) -> None:
    loop, room = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with room:
            _, watch = await loop.create_connection(lambda: Watch(request, total), host, port, ssl=context)
            await watch.begun

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(one())


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
