"""Connect a client with kube-apiserver for another protocol: exec, attach, port-forward.

Both connections leave HTTP after the answer 101. Data then passes unchanged between the two sides.
A side that does not read stops the other from sending, and the HTTP server cuts a client that does
not read at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from aiohttp import ClientResponse, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_writer import StreamWriter

from apiserver.gateway.headers import to_client

BUFFER = 64 * 1024
"""The bytes in one direction beyond which the sender is paused."""


class _Switched(web.StreamResponse):
    """The answer 101, after which the connection is no longer HTTP."""

    _length_check = False


class _Incoming:
    """The data that one side sends. It replaces aiohttp's parser of WebSockets."""

    def __init__(self, protocol: BaseProtocol) -> None:
        self._protocol = protocol
        self._pieces: deque[bytes] = deque()
        self._size, self._ended, self._woken = 0, False, asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take data. Returns (False, b""): the connection continues, and no data is left over."""
        if not data:  # aiohttp calls this when it resumes reading
            return False, b""
        self._pieces.append(bytes(data))
        self._size += len(data)
        if self._size > BUFFER and self._protocol.transport is not None:
            # The protocol's own method would pause the parser of HTTP, too, which has ended.
            self._protocol.transport.pause_reading()
        self._woken.set()
        return False, b""

    def feed_eof(self) -> None:
        """Take the end of the connection."""
        self._ended = True
        self._woken.set()

    async def read(self) -> bytes:
        """Return the next data, b"" at the end."""
        while not self._pieces and not self._ended:
            self._woken.clear()
            await self._woken.wait()
        data, self._size = b"".join(self._pieces), 0
        self._pieces.clear()
        if self._protocol.transport is not None and not self._protocol.transport.is_closing():
            self._protocol.transport.resume_reading()
        return data


async def connect(http: web.BaseRequest, answer: ClientResponse) -> web.StreamResponse:
    """Answer 101, and pass data in both directions until one side ends."""
    connection = answer.connection
    if connection is None or connection.protocol is None:
        raise ConnectionAbortedError("kube-apiserver closed the connection after it changed the protocol")
    response = _Switched(status=101, headers=to_client(answer.headers, ""))
    response.headers["Connection"], response.headers["Upgrade"] = "Upgrade", answer.headers.get("Upgrade", "")
    response.force_close()
    await response.prepare(http)
    here: Any = http.protocol
    client, server = _Incoming(here), _Incoming(connection.protocol)
    here.set_parser(client)
    connection.protocol.set_parser(server, None)
    sending = asyncio.ensure_future(_pass(client, connection.protocol))
    try:
        # The end of the client's side cancels this.
        await _pass(server, here)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return response


async def _pass(source: _Incoming, to: BaseProtocol) -> None:
    """Pass data on until its source ends. Data for a side that is closed is dropped."""
    writer = StreamWriter(to, asyncio.get_running_loop())
    while data := await source.read():
        if to.transport is not None:
            to.transport.write(data)
            await writer.drain()
