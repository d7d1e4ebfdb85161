"""Call webhooks: POST an AdmissionReview over TLS, verified against the configuration's authority.

There are no redirects and no proxies, and answers are bounded. Connections are kept, separately for
each authority.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

import aiohttp

from apiserver.admission.configurations import Webhook

LIMIT = 3 * 1024 * 1024
"""The largest size of an answer, in bytes."""
AUTHORITIES = 256
"""The number of authorities whose TLS contexts are kept."""


class CallFailed(Exception):
    """The webhook gave no usable answer, so its failurePolicy applies. The message gives the
    reason."""


class Caller(Protocol):
    """Calls webhooks."""

    async def call(self, webhook: Webhook, body: bytes) -> bytes:
        """Return the body of the webhook's answer to an AdmissionReview in JSON.

        Raises CallFailed, also after the webhook's timeout."""


class HttpCaller:
    """A Caller over HTTPS.

    An answer has at most `limit` bytes. The TLS contexts of `authorities` authorities are kept."""

    def __init__(self, *, limit: int = LIMIT, authorities: int = AUTHORITIES) -> None:
        self._limit, self._authorities = limit, authorities
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, webhook: Webhook, body: bytes) -> bytes:
        """Call a webhook. See Caller."""
        # The call runs in its own task. Otherwise, a request whose next step is delayed would
        # mistake an answer that came in time for a late one.
        return await asyncio.create_task(self._call(webhook, body))

    async def _call(self, webhook: Webhook, body: bytes) -> bytes:
        context = self._context(webhook)
        try:
            async with self._open().post(
                webhook.url,
                data=body,
                params={"timeout": f"{webhook.timeout:g}s"},
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                timeout=aiohttp.ClientTimeout(total=webhook.timeout),
                allow_redirects=False,
                ssl=context,
            ) as response:
                if response.status != 200:
                    raise CallFailed(f"the webhook answered with HTTP status {response.status}")
                return await _read(response, self._limit)
        except TimeoutError:
            raise CallFailed(f"no answer within {webhook.timeout:g} s") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise CallFailed(f"its certificate is not trusted: {error.certificate_error}") from None
        except (aiohttp.ClientError, ConnectionError, ssl.SSLError, ValueError) as error:
            raise CallFailed(f"it cannot be reached: {error or type(error).__name__}") from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60), headers={"User-Agent": "metal3-workloads-admission"}
            )
        return self._session

    def _context(self, webhook: Webhook) -> ssl.SSLContext:
        """Return the TLS context for the webhook's authority, or for the system's."""
        context = self._contexts.get(webhook.ca)
        if context is None:
            try:
                context = ssl.create_default_context(cadata=webhook.ca or None)
            except (ssl.SSLError, ValueError) as error:
                raise CallFailed(f"its caBundle holds no certificates in PEM: {error}") from None
            while len(self._contexts) >= self._authorities:
                del self._contexts[next(iter(self._contexts))]
            self._contexts[webhook.ca] = context
        return context


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > limit:
            raise CallFailed(f"its answer is larger than {limit} bytes")
        parts.append(part)
    return b"".join(parts)
