"""Connect to one etcd endpoint with etcd3-py's client, and replace its broken parts.

This module uses etcd3-py's addresses, /v3 prefix, token, pool, and methods for administration. It
replaces the blocking probe in the constructor, the calls without timeouts, the models, the errors,
TLS without host names, and watches (see storage.etcd.watch).
"""

# mypy: disallow-untyped-calls=False
# (etcd3-py has no types)

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
from etcd3.aio_client import AioClient

from storage.etcd.errors import Broken, NotSent, from_body

_PIECE = 1 << 18
# the shortest timeout of a call in seconds, even after its deadline (0 would mean no limit)
_LEAST = 0.1
_ADMINISTRATION = 10.0  # seconds
_WS_CLOSE = 1.0  # seconds to wait for etcd's closing handshake


def check_endpoint(endpoint: str, *, tls: bool) -> str:
    """Return the endpoint as scheme://host:port. The scheme is optional in `endpoint`.

    Raises ValueError with a message that says what is wrong."""
    scheme = "https" if tls else "http"
    parts = urlsplit(endpoint if "://" in endpoint else f"{scheme}://{endpoint}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None or parts.path.strip("/") or parts.query or "@" in parts.netloc:
        raise ValueError("an etcd endpoint is host:port, or https://host:port")
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"an etcd endpoint begins with http:// or https://, not {parts.scheme}://")
    if parts.scheme == "http" and tls:
        raise ValueError(f"{parts.scheme}://{parts.netloc} is not encrypted, yet certificates are given: use https://, or leave them out")
    return f"{parts.scheme}://{parts.netloc}"


class Gateway(AioClient):
    """The gateway of one member, created and used on one running event loop.

    `context` returns the TLS context for the next connection; None without TLS."""

    def __init__(self, endpoint: str, context: Callable[[], ssl.SSLContext] | None, *, pool: int) -> None:
        parts = urlsplit(endpoint)
        host, _, _ = parts.netloc.rpartition(":")  # includes the brackets of IPv6
        super().__init__(host=host, port=parts.port, protocol=parts.scheme, pool_size=0)
        self.endpoint = endpoint
        # aiohttp's own limit lets later callers overtake earlier ones, so under load some wait
        # forever. A semaphore serves them in order.
        self._slots = asyncio.Semaphore(pool)
        self._context = context
        # Watches keep their connections open and would leave none for calls.
        self._watches = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    def call_rpc(self, method: str, data: Any = None, stream: bool = False, encode: bool = True, raw: bool = False, **options: Any) -> Any:
        """Override the call that etcd3-py's methods for administration use: add our TLS and a
        timeout."""
        options.setdefault("ssl", self._ssl())
        if options.get("timeout") is None:
            options["timeout"] = aiohttp.ClientTimeout(total=_ADMINISTRATION)
        return super().call_rpc(method, data, stream, encode, raw, **options)

    async def call(self, path: str, body: bytes, timeout: float) -> dict[str, Any]:
        """Send a POST to /v3<path> and return the decoded answer. Raises GatewayError."""
        # The call runs in its own task, because the caller's next step may be delayed while other
        # requests get their turn. Otherwise a delayed caller would keep its slot, and mistake an
        # answer that came in time for a late one.
        return await asyncio.create_task(self._call_in_turn(path, body, timeout))

    async def _call_in_turn(self, path: str, body: bytes, timeout: float) -> dict[str, Any]:
        now = asyncio.get_running_loop().time
        deadline = now() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                await self._slots.acquire()
        except TimeoutError:
            raise NotSent(f"too many calls wait for {self.endpoint}") from None
        try:
            return await self._call(path, body, max(deadline - now(), _LEAST))
        finally:
            self._slots.release()

    async def _call(self, path: str, body: bytes, timeout: float) -> dict[str, Any]:
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=timeout)
        try:
            # aiohttp sends a file in pieces, but bytes in one write
            data = io.BytesIO(body) if len(body) > _PIECE else body
            async with self.call_rpc(path, data, raw=True, timeout=limits) as response:
                status, payload = response.status, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection to {self.endpoint} ({_words(error)})") from error
        # RuntimeError: the session was closed meanwhile
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            raise Broken(f"no answer from {self.endpoint} ({_words(error)})") from error
        if status != 200:
            raise from_body(status, payload)
        try:
            answer: dict[str, Any] = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise Broken(f"{self.endpoint} answered what is not JSON") from error
        return answer

    async def metrics_text(self, timeout: float) -> str:
        """Return the member's own metrics. Raises GatewayError."""
        try:
            limits = aiohttp.ClientTimeout(total=timeout)
            async with self._watches.get(f"{self.endpoint}/metrics", ssl=self._ssl(), timeout=limits) as response:
                return await response.text() if response.status == 200 else ""
        except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            raise Broken(f"no metrics from {self.endpoint} ({_words(error)})") from error

    async def open_watch(self) -> aiohttp.ClientWebSocketResponse:
        """Open a websocket to /v3/watch, without a deadline. Raises GatewayError.

        Each message is one JSON text, in both directions."""
        # The gateway's websocket proxy takes the token from the subprotocols only.
        protocols = ("Bearer", self.token) if self.token else ()
        try:
            return await self._watches.ws_connect(
                self._url("/watch"),
                protocols=protocols,
                ssl=self._ssl(),
                # etcd sends large answers in fragments, but a single event may have several MiB
                max_msg_size=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=_WS_CLOSE),
            )
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise NotSent(f"no watch at {self.endpoint} ({_words(error)})") from error

    async def end_watches(self) -> None:
        """Close the connections of all watches."""
        await self._watches.close()

    async def close(self) -> None:
        await self._watches.close()
        await super().close()

    def _ssl(self) -> ssl.SSLContext | bool:
        return True if self._context is None else self._context()

    def _retrieve_version(self) -> None:
        """Skip etcd3-py's probe, which blocks the loop and raises AttributeError if etcd is
        down."""

    def _verify_version(self) -> None:
        """Do nothing, because nothing was probed."""

    def _get_prefix(self) -> None:
        self.api_prefix = "/v3"  # the prefix of every etcd since 3.4


def _words(error: BaseException) -> str:
    return str(error) or ("not in time" if isinstance(error, TimeoutError) else type(error).__name__)
