"""Define a measured target: a server of the objects, its processes, and requests to it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from tests.bench.cpu import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

TIMEOUT = ClientTimeout(total=120)
CONNECTIONS = 128
IDENTITY = {"Accept-Encoding": "identity"}
"""The default header: aiohttp asks for gzip by itself."""


def client_context(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    """Return a TLS context with verification and a client certificate. All three arguments are
    paths."""
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    return context


@dataclass(frozen=True)
class Files:
    """The authority of a server, and a client's certificate and key for it, as paths."""

    authority: str
    certificate: str
    key: str


@dataclass
class Target:
    """A target.

    `root`: the URL that contains the resource's namespaces, such as https://…/apis/G/V. `pids`: all
    processes that work for it."""

    name: str
    root: str
    group: str
    pids: Sequence[int]
    files: Files
    session: ClientSession = field(init=False)

    async def __aenter__(self) -> Target:
        context = client_context(self.files.authority, self.files.certificate, self.files.key)
        connector = TCPConnector(ssl=context, limit=CONNECTIONS)
        self.session = ClientSession(connector=connector, timeout=TIMEOUT, auto_decompress=False, headers=IDENTITY)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.session.close()

    async def request(self, method: str, path: str, *, body: bytes | None = None, headers: dict[str, str] | None = None) -> bytes:
        """Return the body of the answer to a request that must succeed."""
        async with self.session.request(method, self.root + path, data=body, headers=headers) as response:
            answer = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{self.name}: {method} {path}: {response.status} {answer[:500].decode(errors='replace')}")
            return answer

    async def cpu_of(self, calls: range, work: Callable[[int], Awaitable[Any]], *, at_once: int = 16) -> float:
        """Return the CPU seconds per call of `work` with each of these numbers, `at_once` at a
        time."""
        numbers = iter(calls)

        async def worker() -> None:
            for number in numbers:
                await work(number)

        before = cpu_seconds(self.pids)
        await asyncio.gather(*(worker() for _ in range(at_once)))
        return (cpu_seconds(self.pids) - before) / len(calls)
