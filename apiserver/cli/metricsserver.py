"""Serve /metrics for commands that serve nothing else: over TLS, to users that the cluster allows.

Requests pass the same filters as in the API server. A TokenReview finds the user of a bearer token,
and a SubjectAccessReview decides whether that user may get the path /metrics."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry

from apiserver.apis.status import method_not_allowed, path_not_found
from apiserver.authentication.token import TokenAuthenticator
from apiserver.cli.running import UsageError
from apiserver.client.client import Client
from apiserver.filters import chain
from apiserver.filters.authentication import UnionAuthenticator
from apiserver.filters.authorization import PrivilegedGroup, UnionAuthorizer
from apiserver.handlers.request.call import Call
from apiserver.server.connections import Connections
from apiserver.server.delegation.accessreview import AccessReviews
from apiserver.server.delegation.tokenreview import TokenReviews
from apiserver.server.metrics import Metrics
from apiserver.server.pki import Authority
from apiserver.server.servingcert import FileCertificate, SelfMade
from apiserver.server.tls import BadServingCertificate, ServerTls

log = logging.getLogger(__name__)

PATH = "/metrics"
STOP_SECONDS = 1.0


class MetricsServer:
    """The server of one process's metrics.

    `client` asks the management cluster about users. `files` are the certificate and key to serve;
    None for a self-made pair that lasts as long as the process. `registry` takes the metrics."""

    def __init__(self, client: Client, port: int, host: str = "127.0.0.1", files: tuple[Path, Path] | None = None) -> None:
        self._client, self._port, self._host, self._files = client, port, host, files
        self._metrics = Metrics()
        self.listening = asyncio.Event()
        self.bound = 0

    @property
    def registry(self) -> CollectorRegistry:
        return self._metrics.registry

    async def run(self) -> None:
        """Serve until cancelled. Raises UsageError if the port or the certificate cannot be
        used."""
        tokens, reviews = TokenAuthenticator(TokenReviews(self._client)), AccessReviews(self._client)
        parts = chain.FilterConfig(
            authenticator=UnionAuthenticator([tokens]),
            authorizer=UnionAuthorizer([PrivilegedGroup(), reviews]),
            recorder=self._metrics,
        )
        connections = Connections.few(chain.build(self._handle, parts))
        tls, follow = self._tls()
        server = await self._listen(connections, tls)
        try:
            self.bound = server.sockets[0].getsockname()[1]
            self.listening.set()
            await follow()
        finally:
            server.close()
            await connections.shutdown(STOP_SECONDS)
            await tokens.close()
            await reviews.close()

    async def _handle(self, call: Call) -> web.StreamResponse:
        if call.info.path != PATH:
            raise path_not_found()
        if call.http.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        return await self._metrics.handle(call)

    async def _listen(self, connections: Connections, tls: ServerTls) -> asyncio.Server:
        try:
            return await asyncio.get_running_loop().create_server(
                connections, self._host, self._port, ssl=tls.context, ssl_handshake_timeout=10, ssl_shutdown_timeout=2
            )
        except OSError as error:
            raise UsageError(f"--metrics-port {self._port} of {self._host} cannot be used: {error.strerror or error}") from None

    def _tls(self) -> tuple[ServerTls, Callable[[], Awaitable[None]]]:
        """Return the TLS configuration, and the task that keeps its certificate valid until
        cancelled."""
        certificate: FileCertificate | SelfMade
        try:
            if self._files is not None:
                certificate = FileCertificate(*self._files)
                pair = certificate.read()
            else:
                certificate = SelfMade(Authority.create("metal3-workloads metrics"), [socket.gethostname(), "localhost", "127.0.0.1"])
                pair = certificate.pair
            tls = ServerTls(pair.certificate, pair.key)
        except BadServingCertificate as error:
            raise UsageError(f"--metrics-cert-file: {error}") from None
        return tls, lambda: certificate.follow(tls)
