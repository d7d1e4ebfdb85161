"""Run the HTTP/1.1 server of one port, with bounds on connections, headers and their times.

It uses aiohttp's low-level server. Input that never becomes a request (garbage, oversized headers)
is answered with a Status as well, without quoting the input.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import orjson
from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from apiserver.apis.status import ApiError, bad_request, internal
from apiserver.filters.audit import STARTED
from apiserver.filters.auditid import HEADER, KEY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import StreamReader
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage

__all__ = ["Connections"]

log = logging.getLogger(__name__)

HEADER_SECONDS = 15.0
"""The seconds for the first request's headers, from their first byte.

Later requests on the connection have IDLE_SECONDS after the previous answer."""
IDLE_SECONDS = 120.0
"""The seconds for which a connection may be unused, also before its first request.

Go's clients close a connection that was unused for 90 s. So clients close, and no request meets a
closing connection."""
MAX_CONNECTIONS, FEW = 8192, 64
"""The numbers of connections of the API's port, and of a port for probes or metrics."""
MAX_LINE = 16 * 1024
"""The bytes of the request line, enough for a label selector with hundreds of values."""
MAX_FIELD = 16 * 1024
"""The bytes of one header, enough for a service account's token with audiences."""
MAX_HEADERS = 1024
"""The number of headers.

The front proxy sends one for each group of the user, and directories put users into hundreds of
groups."""


class Request(web.BaseRequest):
    """One request. Every response has its audit ID, and does not name the software and its
    version."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        if isinstance(self.protocol, Connection) and self.protocol.winding_down:
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

    __slots__ = ("_connections", "_used")

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(connections, **options)
        self._connections, self._used = connections, False

    @property
    def winding_down(self) -> bool:
        """Whether the next answer is the last one."""
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
            self._connections.arrived()

    @property
    def idle_since(self) -> float | None:
        """The loop's time of the last answer, or of the beginning; None during a request."""
        if self._request_in_progress or self._messages:
            return None
        return self._next_keepalive_close_time - self._keepalive_timeout

    @property
    def has_no_request(self) -> bool:
        """Whether no complete headers have arrived yet."""
        return self._request_count == 0


class Connections(web.Server):
    """All connections of one port. Pass it to loop.create_server.

    `arrived` is called for each request that has arrived. With `replaces_idle`, a new connection
    beyond the limit closes the one that has been idle for the longest, so that clients that keep
    connections open lock nobody out."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        header_seconds: float = HEADER_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
        arrived: Callable[[], object] = lambda: None,
        replaces_idle: bool = False,
    ) -> None:
        # A handler is cancelled when its client disconnects, because its further work is useless.
        super().__init__(handler, handler_cancellation=True, request_factory=self._request)
        self._header_seconds, self._max_connections, self.arrived = header_seconds, max_connections, arrived
        self._replaces_idle = replaces_idle
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
        self.winding_down = False

    @classmethod
    def few(cls, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], limit: int = FEW, seconds: float = 5.0) -> Self:
        """Return the connections of a port for probes or metrics, which few clients use.

        `seconds` is the time for headers."""
        return cls(handler, header_seconds=seconds, max_connections=limit, replaces_idle=True)

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._options)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count the connection, and refuse it if there are too many."""
        super().connection_made(handler, transport)
        self._open.add(handler)
        self._none.clear()
        if len(self._connections) > self._max_connections and not (self._replaces_idle and self._close_idlest(handler)):
            log.warning("more than %d connections: refusing one", self._max_connections)
            transport.abort()

    def expect_headers(self, handler: RequestHandler) -> None:
        """Start the timer for a connection's first headers.

        Before their first byte, the connection is only unused. Go's clients open connections in
        reserve, and use them later."""
        self._timers[handler] = self._loop.call_later(self._header_seconds, self._cut_headers, handler)

    def _close_idlest(self, new: RequestHandler) -> bool:
        """Close the connection that has been idle for the longest. Return False if all others are in
        use."""
        others = (handler for handler in self._connections if handler is not new and isinstance(handler, Connection))
        idle = [
            (since, handler.transport)
            for handler in others
            if handler.transport is not None and not handler.transport.is_closing() and (since := handler.idle_since) is not None
        ]
        if not idle:
            return False
        min(idle, key=lambda item: item[0])[1].abort()
        return True

    def wind_down(self) -> None:
        """Close each connection after its next answer, which announces it.

        Clients then connect to another replica, and lose no request to a closing connection."""
        self.winding_down = True

    async def closed(self, seconds: float) -> None:
        """Return when clients have closed all connections, or after `seconds`.

        The server must not close an unused connection first: a request that is on its way then
        would be lost (RFC 9112, 9.3.1), and Go's clients send only some kinds of requests again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._open:
                    await self._none.wait()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Remove the connection from the count."""
        timer = self._timers.pop(handler, None)
        if timer is not None:
            timer.cancel()
        super().connection_lost(handler, exc)
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
