"""Serve a real TLS port on loopback with the whole filter chain before a handler that reports the
user."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from aiohttp import web

from apiserver.authentication.certificate import CertificateAuthenticator
from apiserver.authentication.requestheader import FrontProxy, RequestHeaderAuthenticator
from apiserver.authentication.token import TokenAuthenticator
from apiserver.authentication.verification import CertificateVerifier
from apiserver.filters import chain
from apiserver.filters.authentication import UnionAuthenticator
from apiserver.filters.authorization import Decision
from apiserver.filters.flowcontrol import FlowControl
from apiserver.registry.generic.context import UserInfo
from apiserver.server.connections import Connections
from apiserver.server.metrics import Metrics
from apiserver.server.tls import ServerTls
from tests.unit.apiserver.authorities import Authority, Issued, client_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from apiserver.filters.audit import Auditor
    from apiserver.handlers.request.call import Call, Handler, RequestInfo

SERVING = Authority("serving")
PROXIES = Authority("front proxies")
CLIENTS = Authority("clients")
FOREIGN = Authority("foreign")
SERVER = SERVING.server()


class Tokens:
    """Reviews tokens with a table, and counts the reviews."""

    def __init__(self) -> None:
        self.known = {"good": UserInfo("token-user", groups=("readers",))}
        self.asked = 0
        self.failure: Exception | None = None

    async def review(self, token: str) -> UserInfo | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.known.get(token)


class Rules:
    """Allows everything except the (user, verb) pairs that are listed."""

    def __init__(self) -> None:
        self.forbidden: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str, str]] = []

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        self.asked.append((user.name, info.verb, info.path))
        return Decision((user.name, info.verb) not in self.forbidden)


async def tell(call: Call) -> web.StreamResponse:
    """Answer with the identity of the request."""
    user = call.user
    assert user is not None
    reported = {"name": user.name, "uid": user.uid, "groups": user.groups, "extra": user.extra}
    return web.Response(body=orjson.dumps(reported), content_type="application/json")


@dataclass
class Setup:
    """The parts of a port. Tests change parts of it before or while it serves."""

    handler: Handler = tell
    tokens: Tokens = field(default_factory=Tokens)
    rules: Rules = field(default_factory=Rules)
    flow_control: FlowControl = field(default_factory=FlowControl)
    request_seconds: float = 5.0
    header_seconds: float = 5.0
    allowed_names: tuple[str, ...] = ("front-proxy-client",)
    tls: ServerTls = field(
        default_factory=lambda: ServerTls(SERVER.pem, SERVER.key_pem, [PROXIES.certificate, CLIENTS.certificate]),
    )
    metrics: Metrics = field(default_factory=lambda: Metrics([("g", "v1", "things")]))
    max_connections: int = 100
    write_seconds: float = 45.0
    auditor: Auditor | None = None

    def __post_init__(self) -> None:
        proxy = FrontProxy((PROXIES.certificate,), self.allowed_names, uid_headers=("X-Remote-Uid",))
        self.front_proxy = RequestHeaderAuthenticator(proxy)
        self.clients = CertificateVerifier([CLIENTS.certificate])
        self.token_authenticator = TokenAuthenticator(self.tokens)

    def serve(self) -> Connections:
        """Return the protocol factory of the port."""
        authenticator = UnionAuthenticator([self.front_proxy, CertificateAuthenticator(self.clients), self.token_authenticator])
        parts = chain.FilterConfig(
            authenticator=authenticator,
            authorizer=self.rules,
            recorder=self.metrics,
            flow_control=self.flow_control,
            request_seconds=self.request_seconds,
            auditor=self.auditor,
        )
        handler = chain.build(self.handler, parts)
        arrived = self.flow_control.loop.arrived
        return Connections(
            handler,
            header_seconds=self.header_seconds,
            max_connections=self.max_connections,
            write_seconds=self.write_seconds,
            arrived=arrived,
        )


@dataclass
class Port:
    """A serving port, and clients for it."""

    number: int
    connections: Connections
    sessions: list[aiohttp.ClientSession] = field(default_factory=list)

    def client(self, certificate: Issued | None = None) -> aiohttp.ClientSession:
        """Return a session that presents the certificate. It is closed with the port."""
        connector = aiohttp.TCPConnector(ssl=client_context(SERVING, certificate))
        session = aiohttp.ClientSession(f"https://127.0.0.1:{self.number}", connector=connector, timeout=aiohttp.ClientTimeout(total=60))
        self.sessions.append(session)
        return session

    async def raw(self, certificate: Issued | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a bare TLS connection."""
        return await asyncio.open_connection("127.0.0.1", self.number, ssl=client_context(SERVING, certificate))

    async def identity(self, certificate: Issued | None = None, headers: Any = None, path: str = "/version") -> tuple[int, dict[str, Any]]:
        """Return the status and body that report which user the server identified."""
        async with self.client(certificate).get(path, headers=headers) as response:
            return response.status, await response.json()


@asynccontextmanager
async def serving(setup: Setup) -> AsyncIterator[Port]:
    """Serve for the duration of the block."""
    loop = asyncio.get_running_loop()
    connections = setup.serve()
    server = await loop.create_server(connections, "127.0.0.1", 0, ssl=setup.tls.context)
    port = Port(server.sockets[0].getsockname()[1], connections)
    try:
        yield port
    finally:
        for session in port.sessions:
            await session.close()
        server.close()
        await connections.shutdown(2)
        await setup.token_authenticator.close()
        await server.wait_closed()
