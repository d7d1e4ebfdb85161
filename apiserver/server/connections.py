"""Run the HTTP/1.1 server of one port, with bounds on connections, headers and their times.

It uses aiohttp's low-level server. Input that never becomes a request (garbage, oversized headers)
is answered with a Status as well, without quoting the input.

A client that does not read its answers keeps them in memory, after their requests have left flow
control and its deadlines. So this module limits the time in which a client must read.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Self, cast

import orjson
from aiohttp import StreamReader, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from apiserver.apis.status import ApiError, bad_request, internal
from apiserver.filters.audit import STARTED
from apiserver.filters.auditid import HEADER, KEY

log = logging.getLogger(__name__)

HEADER_SECONDS = 15.0
"""The seconds for the first request's headers, from their first byte.

Later requests on the connection have IDLE_SECONDS after the previous answer."""
IDLE_SECONDS = 120.0
"""The seconds for which a connection may be unused, also before its first request.

Go's clients close a connection that was unused for 90 s. So clients close, and no request meets a
closing connection."""
WRITE_SECONDS = 45.0
"""The seconds in which a client must read some of the waiting bytes, while writing is paused.

A watch has a shorter time for each piece (Timings.slow), so this one never ends it first."""
SLOWEST = 1024
"""The bytes per second that count as reading.

A download may take any time at that rate. A client that reads only single bytes does not reach
it."""
BYTES_ACKED, BYTES_ACKED_OFFSET = struct.Struct("=Q"), 120
"""The field tcpi_bytes_acked of Linux's struct tcp_info (linux/tcp.h, since Linux 4.1)."""
MAX_CONNECTIONS, FEW = 8192, 64
"""The largest numbers of connections of the API's port, and of a port for probes or metrics."""
SWITCHING = 101
"""The status after which a connection is no longer HTTP."""
MAX_LINE = 16 * 1024
"""The largest size in bytes of the request line, enough for a label selector with hundreds of
values."""
MAX_FIELD = 16 * 1024
"""The largest size in bytes of one header, enough for a service account's token with audiences."""
MAX_HEADERS = 1024
"""The largest number of headers.

The front proxy sends one for each group of the user, and directories put users into hundreds of
groups."""


class Request(web.BaseRequest):
    """One request. Every response has its audit ID, and does not name the software and its
    version."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        if isinstance(self.protocol, Connection) and self.protocol.winding_down and response.status != SWITCHING:
            response.headers[hdrs.CONNECTION] = "close"
            response.force_close()
        # aiohttp calls this before it sends the headers. No other place sees the headers of every
        # response, streamed or not.
        response.headers.popall("Server", None)
        if KEY in self:
            response.headers[HEADER] = self[KEY]
        if STARTED in self:
            self[STARTED](response.status)


class Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_acknowledged", "_busy", "_connections", "_ended", "_lost", "_timer", "_used", "_wire")

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(connections, **options)
        self._connections, self._used, self._busy, self._ended, self._lost = connections, False, False, False, False
        # aiohttp forgets a transport that it has closed, which may still wait for its client.
        self._wire: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._acknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._wire = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the timer."""
        self._lost = True
        self._stop_timer()
        super().connection_lost(exc)
        self._wire = None

    def pause_writing(self) -> None:
        """Start the time in which the client must read."""
        super().pause_writing()
        self._connections.replaceable(self)
        self._start_timer()

    def resume_writing(self) -> None:
        """Stop that time: the client has read nearly everything."""
        super().resume_writing()
        if self._ended:
            return
        self._stop_timer()
        if self._busy and not self._messages:
            self._connections.irreplaceable(self)

    async def start(self) -> None:
        """Process requests. Limit the time for the rest of the answers, which a closed transport
        still sends."""
        try:
            await super().start()
        finally:
            self._ended = True
            if not self._lost:
                self._connections.replaceable(self)
                self._start_timer()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the rest of the answer. Without another request, the connection is unused then."""
        finished = await super().finish_response(request, resp, start_time)
        if not self._messages and not self._lost:
            self._busy = False
            self._connections.replaceable(self)
        return finished

    def abort(self) -> None:
        """Close the connection without sending the bytes that wait for its client."""
        if self._wire is not None:
            self._wire.abort()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._acknowledged = _acknowledged(self._wire)
            self._timer = self._loop.call_later(self._connections.write_seconds, self._check)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        """Abort the connection, unless its client has read enough since the last time."""
        self._timer = None
        read = _acknowledged(self._wire) - self._acknowledged
        if read >= SLOWEST * self._connections.write_seconds:
            self._start_timer()
            return
        log.debug("a client does not read its answers: closing its connection")
        self.abort()

    @property
    def winding_down(self) -> bool:
        """Return whether the next answer is the last one."""
        return self._connections.winding_down

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Return the answer to a failure of the HTTP layer.

        If an answer broke off, the connection is closed instead."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            log.debug("malformed request: %s", type(exc).__name__)
            error = bad_request("the request is not valid HTTP, or its line or headers are too large")
        else:
            log.error("a request failed outside of the filters", exc_info=exc)
            error = internal()
        response = _response(error)
        response.force_close()
        return response

    def data_received(self, data: bytes) -> None:
        """Report the first bytes, and a request whose headers are complete. Its task has not begun
        yet."""
        if not self._used:
            self._used = True
            self._connections.expect_headers(self)
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._mark(pipelined=self._busy or self._request_count > before + 1)
            self._connections.arrived()

    def _mark(self, *, pipelined: bool) -> None:
        """Keep the connection for the new request.

        A client that sends requests before their answers could keep its connection in use for all
        time. Clients of Kubernetes do not do that."""
        self._busy = True
        if pipelined or self.writing_paused:
            self._connections.replaceable(self)
        else:
            self._connections.irreplaceable(self)

    @property
    def has_no_request(self) -> bool:
        """Return whether no complete headers have arrived yet."""
        return self._request_count == 0


class Connections(web.Server):
    """All connections of one port. Pass it to loop.create_server.

    `arrived` is called for each request that has arrived. A new connection beyond the limit closes
    another one. The closed connection has been without a request for the longest time, or its
    client does not read, or pipelines requests. So clients that keep connections open lock no other
    client out."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        header_seconds: float = HEADER_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
        write_seconds: float = WRITE_SECONDS,
        arrived: Callable[[], object] = lambda: None,
    ) -> None:
        # A handler is cancelled when its client disconnects, because its further work is useless.
        super().__init__(handler, handler_cancellation=True, request_factory=self._request)
        self._header_seconds, self._max_connections, self.arrived = header_seconds, max_connections, arrived
        self.write_seconds = write_seconds
        self._options: dict[str, Any] = {
            "keepalive_timeout": idle_seconds,
            "access_log": None,
            "max_line_size": MAX_LINE,
            "max_field_size": MAX_FIELD,
            "max_headers": MAX_HEADERS,
            # No body is decompressed, so that a body of 3 MiB is a body of 3 MiB.
            "auto_decompress": False,
            "lingering_time": 2.0,
            "logger": log,
        }
        self._timers: dict[RequestHandler, asyncio.TimerHandle] = {}
        self._open, self._none = set[RequestHandler](), asyncio.Event()
        self._replaceable: dict[Connection, None] = {}
        self.winding_down = False

    @classmethod
    def few(
        cls,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        limit: int = FEW,
        seconds: float = 5.0,
        write_seconds: float = WRITE_SECONDS,
    ) -> Self:
        """Return the connections of a port for probes or metrics, which few clients use.

        `seconds` is the time for headers."""
        return cls(handler, header_seconds=seconds, max_connections=limit, write_seconds=write_seconds)

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._options)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count the connection. If there are too many, close another one, or refuse this one."""
        super().connection_made(handler, transport)
        self._open.add(handler)
        self._none.clear()
        if len(self._connections) > self._max_connections and not self._replace():
            log.warning("more than %d connections: refusing one", self._max_connections)
            transport.abort()
        elif isinstance(handler, Connection):
            self.replaceable(handler)

    def replaceable(self, connection: Connection) -> None:
        """Let the connection be closed for a new one, after those that have been replaceable for
        longer."""
        self._replaceable.setdefault(connection)

    def irreplaceable(self, connection: Connection) -> None:
        """Keep the connection, because it is in use."""
        self._replaceable.pop(connection, None)

    def expect_headers(self, handler: RequestHandler) -> None:
        """Start the timer for a connection's first headers.

        Before their first byte, the connection is only unused. Go's clients open connections in
        reserve, and use them later."""
        self._timers[handler] = self._loop.call_later(self._header_seconds, self._cut_headers, handler)

    def _replace(self) -> bool:
        """Close the connection that has been replaceable for the longest. Return False if all are
        in use."""
        oldest = next(iter(self._replaceable), None)
        if oldest is None:
            return False
        self.irreplaceable(oldest)
        oldest.abort()
        return True

    def wind_down(self) -> None:
        """Close each connection after its next answer, which announces it.

        Clients then connect to another replica, and lose no request to a closing connection."""
        self.winding_down = True

    async def closed(self, seconds: float) -> None:
        """Return when clients have closed all connections, or after `seconds`.

        The server must not close an unused connection first. A request that is on its way then
        would be lost (RFC 9112, 9.3.1). Go's clients send only some kinds of requests again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._open:
                    await self._none.wait()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Close all connections, after at most `timeout` seconds for running requests.

        Clients that have not read by then do not delay the end. aiohttp waits for them, without a
        limit if `timeout` is 0."""
        timer = self._loop.call_later(timeout or 0, self._abort_paused)
        try:
            await super().shutdown(timeout)
        finally:
            timer.cancel()

    def _abort_paused(self) -> None:
        for handler in self._open:
            if isinstance(handler, Connection) and handler.writing_paused:
                handler.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Remove the connection from the count."""
        timer = self._timers.pop(handler, None)
        if timer is not None:
            timer.cancel()
        super().connection_lost(handler, exc)
        if isinstance(handler, Connection):
            self.irreplaceable(handler)
        self._open.discard(handler)
        if not self._open:
            self._none.set()

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> Request:
        return Request(message, payload, protocol, writer, task, self._loop)

    def _cut_headers(self, handler: RequestHandler) -> None:
        self._timers.pop(handler, None)
        if isinstance(handler, Connection) and handler.has_no_request:
            handler.force_close()


def _response(error: ApiError) -> web.Response:
    return web.Response(status=error.code, body=orjson.dumps(error.status()), content_type="application/json")


def _acknowledged(transport: asyncio.BaseTransport | None) -> int:
    """Return how many bytes the client has acknowledged, or 0 if the kernel does not say it.

    The transport's buffer does not show that: with TLS, the bytes wait in another one below it."""
    wire = None if transport is None else transport.get_extra_info("socket")
    if wire is None or not hasattr(socket, "TCP_INFO"):
        return 0
    try:
        info: bytes = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED_OFFSET + BYTES_ACKED.size)
        acknowledged: int = BYTES_ACKED.unpack_from(info, BYTES_ACKED_OFFSET)[0]
    except (OSError, struct.error):
        return 0
    return acknowledged
