"""Send requests for an aggregated API server's kinds to it directly, and others to kube-apiserver.

The controllers run beside the server. Through kube-apiserver, each request and each event would
take one more hop. The server is verified as kube-apiserver verifies it, by its APIService, and it
asks kube-apiserver about our identity and permissions. If the server cannot be reached for any
reason, requests go through kube-apiserver, and the direct connection is tried again after a while.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from apiserver.client.client import Client
from apiserver.client.errors import ApiException, BadConfig, Unconnected, describe
from apiserver.client.kubeconfig import Endpoint, Source
from apiserver.client.objects import Object, Resource

log = logging.getLogger(__name__)

API_SERVICES = Resource("apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False)
RETRY = 30.0
"""The seconds for which requests use kube-apiserver after the server could not be reached
directly."""


class ShortcutClient(Client):
    """A Client with a direct connection to one server.

    `url` is the server's address, and `groups` are its API groups. `api_service` is the name of one
    of its APIServices, which the client must be allowed to get. A server that cannot be reached is
    tried again after `retry` seconds."""

    def __init__(self, source: Source, *, url: str, groups: Sequence[str], api_service: str, retry: float = RETRY, **options: Any) -> None:
        super().__init__(source, **options)
        self._url, self._api_service, self._retry = url.rstrip("/"), api_service, retry
        self._prefixes = tuple(f"/apis/{group}/" for group in groups)
        self._options = options
        self._direct: Client | None = None
        self._left: Client | None = None
        self._opening = asyncio.Lock()
        self._not_before = 0.0

    async def close(self) -> None:
        await super().close()
        for client in (self._direct, self._left):
            if client is not None:
                await client.close()

    @asynccontextmanager
    async def _send(self, method: str, path: str, **rest: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        async with AsyncExitStack() as stack:
            response = await self._try(stack, method, path, rest) if path.startswith(self._prefixes) else None
            if response is None:
                response = await stack.enter_async_context(super()._send(method, path, **rest))
            yield response

    async def _try(self, stack: AsyncExitStack, method: str, path: str, rest: dict[str, Any]) -> aiohttp.ClientResponse | None:
        """Return the server's own answer, or None if nothing has happened and kube-apiserver must
        be asked."""
        direct = await self._reach()
        if direct is None:
            return None
        sending = AsyncExitStack()
        try:
            response = await sending.enter_async_context(direct._send(method, path, **rest))
        except (Unconnected, BadConfig) as error:
            self._leave(direct, describe(error))
            return None
        if response.status == 401:
            # Nothing was done. The server may trust other authorities than kube-apiserver, or may
            # be unable to ask kube-apiserver about our identity.
            await sending.aclose()
            self._leave(direct, "it does not take the credentials")
            return None
        stack.push_async_exit(sending)
        return response

    async def _reach(self) -> Client | None:
        """Return the client of the server itself, or None while it is not used.

        Concurrent callers wait while it is being opened, because a watch through kube-apiserver
        would stay there for minutes."""
        if self._direct is None and asyncio.get_running_loop().time() >= self._not_before and not self._closed:
            async with self._opening:
                if self._direct is None and asyncio.get_running_loop().time() >= self._not_before:
                    await self._open()
        return self._direct

    async def _open(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            await left.close()
        try:
            at = endpoint(await self.get(API_SERVICES, self._api_service), self._url)
            direct = Client(self._source, at=at, **self._options)
            await direct.open()
        except (ApiException, BadConfig) as error:
            self._not_before = asyncio.get_running_loop().time() + self._retry
            log.warning("%s cannot be used: %s: requests go through kube-apiserver", self._url, describe(error))
            return
        self._direct = direct
        log.info("requests about our own kinds go to %s", self._url)

    def _leave(self, direct: Client, why: str) -> None:
        """Send requests through kube-apiserver for a while.

        After that, the server's APIService is read again, because the authority of its certificate
        may have changed. Running requests continue."""
        if self._direct is direct:
            self._not_before = asyncio.get_running_loop().time() + self._retry
            self._direct, self._left = None, direct
            log.warning("%s: %s: requests go through kube-apiserver for %g s", self._url, why, self._retry)


def endpoint(api_service: Object, url: str) -> Endpoint:
    """Return the endpoint of the server at `url`, verified as kube-apiserver does. Raises
    BadConfig.

    The APIService's caBundle and the name of its Service are used."""
    spec = api_service.get("spec") or {}
    service, bundle = spec.get("service") or {}, spec.get("caBundle")
    if not service or not bundle:
        raise BadConfig("its APIService has no caBundle to verify it by: have the server or cert-manager put one in")
    try:
        authority = base64.b64decode(bundle, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise BadConfig("the caBundle of its APIService is not PEM in base64") from None
    return Endpoint(url, authority, f"{service['name']}.{service['namespace']}.svc")
