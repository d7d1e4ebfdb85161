"""Send requests of callers to kube-apiserver, over connections that have no identity.

The session knows kube-apiserver's address and authority, and neither a token nor a client
certificate. A request has the rights of the credentials in its own headers, or none.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import ClientTimeout, DummyCookieJar, StreamReader
from multidict import CIMultiDict
from yarl import URL

from apiserver.apis.status import ApiError, service_unavailable
from apiserver.client.errors import BadConfig
from apiserver.client.kubeconfig import Endpoint, Source, load_endpoint

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
UNUSED_SECONDS = 60.0
"""The seconds for which a connection is kept for the next request.

kube-apiserver closes it after 90, and a write must not meet a closing connection."""
BUFFER = 64 * 1024
"""The largest number of bytes of an answer that wait for the client to read them."""
MAX_LINE, MAX_HEADERS = 64 * 1024, 1024
RELOAD_AT_MOST_EVERY = 10.0
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Upstream:
    """A client of kube-apiserver. Call `close` at the end.

    `source` is the kubeconfig of this server, of which only the address and the authority are
    used."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._endpoint: Endpoint | None = None
        self._session: aiohttp.ClientSession | None = None
        self._left: list[aiohttp.ClientSession] = []
        self._loading = asyncio.Lock()
        self._loaded_at = 0.0

    @property
    def url(self) -> str:
        """Return the address, "" before the first request."""
        return self._endpoint.url if self._endpoint is not None else ""

    async def open(self) -> None:
        """Read the configuration. Raises BadConfig."""
        await self._ready()

    async def close(self) -> None:
        """Close all connections."""
        sessions = [*self._left, *([self._session] if self._session is not None else [])]
        self._session, self._left = None, []
        for session in sessions:
            await session.close()

    @asynccontextmanager
    async def request(
        self, method: str, target: str, headers: CIMultiDict[str], body: StreamReader | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, and yield the answer when its headers have arrived.

        `target` is sent as it is. Raises ApiError (503, or 502 if a write may have been carried
        out)."""
        safe = method in SAFE and body is None
        response = await self._answered(method, target, headers, body, attempts=2 if safe else 1)
        try:
            yield response
        finally:
            response.close() if not response.content.is_eof() or response.status == 101 else response.release()

    async def _answered(
        self, method: str, target: str, headers: CIMultiDict[str], body: StreamReader | None, attempts: int
    ) -> aiohttp.ClientResponse:
        session, endpoint = await self._ready()
        url = URL(endpoint.url + target, encoded=True)
        name: Any = endpoint.server_hostname or None
        try:
            return await session.request(method, url, headers=headers, data=body, allow_redirects=False, server_hostname=name)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            await self._reload(error)
            raise _down("kube-apiserver cannot be reached from here now; try again") from None
        except (aiohttp.ClientError, ConnectionError, ssl.SSLError, ValueError) as error:
            if isinstance(error, ValueError):
                raise ApiError(502, "InternalError", "kube-apiserver's answer cannot be passed on") from None
            if attempts > 1:
                return await self._answered(method, target, headers, body, attempts - 1)
            log.info("kube-apiserver closed a connection before it answered: %s", type(error).__name__)
            if method in SAFE:
                raise _down("kube-apiserver closed the connection; try again") from None
            raise ApiError(502, "InternalError", "kube-apiserver closed the connection before it answered: the write may be done") from None

    async def _ready(self) -> tuple[aiohttp.ClientSession, Endpoint]:
        async with self._loading:
            if self._session is None or self._endpoint is None:
                await self._load()
        assert self._session is not None
        assert self._endpoint is not None
        return self._session, self._endpoint

    async def _load(self) -> None:
        endpoint, context = await load_endpoint(self._source)
        connector = aiohttp.TCPConnector(ssl=context or True, limit=0, keepalive_timeout=UNUSED_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            read_bufsize=BUFFER,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            trust_env=False,
        )
        # A body that was sent cannot be sent a second time.
        self._session._retry_connection = False
        self._endpoint, self._loaded_at = endpoint, asyncio.get_running_loop().time()

    async def _reload(self, error: Exception) -> None:
        """Read the configuration again, because the authority or the address may have changed.

        Running requests continue."""
        async with self._loading:
            if asyncio.get_running_loop().time() - self._loaded_at < RELOAD_AT_MOST_EVERY:
                return
            log.warning("kube-apiserver cannot be reached for callers: %s", type(error).__name__)
            if self._session is not None:
                self._left.append(self._session)
            while len(self._left) > 2:
                await self._left.pop(0).close()
            try:
                await self._load()
            except BadConfig as why:
                log.error("the kubeconfig cannot be used any more: %s", why)


def _down(message: str) -> ApiError:
    return service_unavailable(message)
