"""Run a whole server with a gateway beside a kube-apiserver that records the requests."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding
from yarl import URL

from apiserver.authentication.token import TokenAuthenticator
from apiserver.filters.authorization import Decision
from apiserver.filters.flowcontrol import FlowControl
from apiserver.gateway.gateway import Settings
from apiserver.gateway.upstream import Upstream
from apiserver.registry.catalog import gateway_views, management_catalog
from apiserver.registry.generic.context import UserInfo
from apiserver.server.app import Config, GatewayPort, build
from apiserver.server.tls import ServerTls
from storage.cache import WatchCache
from storage.sqlite import SQLiteStore
from tests.unit.apiserver.authorities import client_context
from tests.unit.apiserver.registry.conftest import Registries
from tests.unit.apiserver.server.harness import CLIENTS, SERVER, SERVING, Tokens

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from apiserver.handlers.request.call import RequestInfo
    from apiserver.server.app import App

OWN = CLIENTS.issue("metal3-workloads", ["system:masters"])
"""The server's own identity, which no caller may get."""
TENANT = {"Authorization": "Bearer tenant-token"}
VIEWS = "/apis/metal3.io/v1alpha1/namespaces/tenant-a/baremetalhosts"
PODS = "/api/v1/namespaces/tenant-a/pods"


@dataclass
class Seen:
    """A request that reached kube-apiserver. `certificate` is the peer's."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    certificate: dict[str, Any] | None

    def all(self, name: str) -> list[str]:
        """Return the values of a header."""
        return [value for found, value in self.headers if found.lower() == name.lower()]


@dataclass
class KubeApiserver:
    """The server behind the gateway.

    answers: maps a path to a function that answers; others get the JSON {"path": PATH}."""

    answers: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def kubeconfig(self) -> dict[str, Any]:
        """Return the server's own kubeconfig, with a token and a client certificate."""
        authority = base64.b64encode(SERVING.certificate.public_bytes(Encoding.PEM)).decode()
        cluster = {"name": "m", "cluster": {"server": self.url, "certificate-authority-data": authority}}
        credentials = {
            "token": "own-token",
            "client-certificate-data": base64.b64encode(OWN.pem).decode(),
            "client-key-data": base64.b64encode(OWN.key_pem).decode(),
        }
        context = {"name": "m", "context": {"cluster": "m", "user": "m"}}
        return {"clusters": [cluster], "users": [{"name": "m", "user": credentials}], "contexts": [context], "current-context": "m"}

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[KubeApiserver]:
        """Serve for the duration of the block. Client certificates are asked for."""
        server = web.Server(self._answer, handler_cancellation=True, access_log=None)
        context = ServerTls(SERVER.pem, SERVER.key_pem, [CLIENTS.certificate]).context
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(server, "127.0.0.1", 0, ssl=context)
        self.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            listening.close()
            await server.shutdown(0.1)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = self.answers.get(request.rel_url.raw_path)
        peer = request.transport.get_extra_info("peercert") if request.transport is not None else None
        seen = Seen(request.method, request.raw_path, list(request.headers.items()), b"", peer)
        self.seen.append(seen)
        if answer is not None:
            return await answer(request)
        seen.body = await request.read()
        document = self.documents.get(request.rel_url.raw_path)
        if document is not None:
            return self._document(request, document)
        return web.json_response({"path": request.raw_path})

    def _document(self, request: web.BaseRequest, document: Any) -> web.Response:
        etag = f'"{hash(json.dumps(document))}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.json_response(document, headers={"ETag": etag})


class Rules:
    """Allows the tenant its own namespace of the view's group."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, str]] = []

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Record the request, and decide."""
        self.asked.append((user.name, info.verb, info.group, info.namespace))
        return Decision(user.name == "tenant" and info.group == "workload.metal3.io" and info.namespace == "tenant-a")


@dataclass
class Running:
    """A running gateway, its cluster, and its objects."""

    app: App
    cluster: KubeApiserver
    registries: Registries
    rules: Rules
    tokens: Tokens
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Return the gateway's URL."""
        return f"https://127.0.0.1:{self.app.gateway_port}"

    async def request(self, method: str, path: str, headers: Any = TENANT, **options: Any) -> tuple[int, Any]:
        """Return the status and the decoded body of an answer."""
        async with self.session.request(
            method, URL(self.url + path, encoded=True), headers=headers, allow_redirects=False, **options
        ) as response:
            body = await response.read()
            return response.status, json.loads(body) if response.content_type == "application/json" and body else body

    async def raw(self, request: bytes) -> bytes:
        """Send bytes over a connection of their own, and return all that comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.app.gateway_port, ssl=self.context())
        writer.write(request)
        try:
            async with asyncio.timeout(60):
                return await reader.read()
        finally:
            writer.close()

    @staticmethod
    def context() -> ssl.SSLContext:
        """Return the TLS of a client that trusts the gateway."""
        return client_context(SERVING)


@asynccontextmanager
async def running(folder: Path, **changes: Any) -> AsyncIterator[Running]:
    """Run a gateway for the duration of the block. `changes` are of its Settings."""
    tokens, rules = Tokens(), Rules()
    tokens.known = {"tenant-token": UserInfo("tenant", groups=("tenants",)), "other-token": UserInfo("other")}
    async with KubeApiserver().serving() as cluster:
        cache = WatchCache(SQLiteStore(folder / "db", synchronous="off"))
        catalog = management_catalog(cache, view_group="workload.metal3.io")
        authenticator = TokenAuthenticator(tokens)
        settings = {
            "views": gateway_views(catalog),
            "view_group": "workload.metal3.io",
            "upstream": Upstream(cluster.kubeconfig()),
            "tokens": authenticator,
            "flow_control": FlowControl(),
        }

        async def tls() -> ServerTls:
            return ServerTls(SERVER.pem, SERVER.key_pem, [CLIENTS.certificate])

        async def gateway_tls() -> ServerTls:
            return ServerTls(SERVER.pem, SERVER.key_pem, asks=False)

        port = GatewayPort(settings=Settings(**{**settings, **changes}), tls=gateway_tls)
        config = Config(
            cache=cache,
            registries=catalog.registries,
            authenticator=authenticator,
            authorizer=rules,
            tls=tls,
            gateway=port,
            drain_seconds=1,
        )
        connector = aiohttp.TCPConnector(ssl=client_context(SERVING))
        timeout = aiohttp.ClientTimeout(total=60)
        async with build(config) as app, aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            yield Running(app, cluster, Registries(catalog), rules, tokens, session)
        await authenticator.close()
