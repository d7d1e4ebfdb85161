"""Serve /healthz, /readyz and /livez for commands that serve nothing else.

They listen on loopback, or for a kubelet's probes. Every client that reaches the port gets an
answer, so answers are fixed texts, and connections are bounded as those of the API server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiohttp import web

from apiserver.cli.running import UsageError
from apiserver.server.connections import Connections

log = logging.getLogger(__name__)

UNREADY = "not ready: the log says why\n"


class HealthServer:
    """A health server: 200 "ok", or 503 while `unhealthy()` returns a reason, which is logged.

    /livez is 200 as long as the process answers."""

    def __init__(self, port: int, unhealthy: Callable[[], str | None], host: str = "127.0.0.1") -> None:
        self._port, self._unhealthy, self._host = port, unhealthy, host
        self._problem: str | None = None
        self.bound = 0

    async def run(self) -> None:
        """Serve until cancelled. Raises UsageError if the port is in use."""
        connections = Connections.few(self._answer)
        try:
            server = await asyncio.get_running_loop().create_server(connections, self._host, self._port)
        except OSError as error:
            raise UsageError(f"--health-port {self._port} of {self._host} cannot be used: {error.strerror}") from None
        try:
            self.bound = server.sockets[0].getsockname()[1]
            await asyncio.Event().wait()
        finally:
            server.close()
            await connections.shutdown(0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path not in ("/healthz", "/readyz", "/livez"):
            return web.Response(status=404, text="not found\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, text="use GET\n", headers={"Allow": "GET, HEAD"})
        return web.Response(text="ok\n") if request.path == "/livez" or self._is_ready() else web.Response(status=503, text=UNREADY)

    def _is_ready(self) -> bool:
        """Return whether the command works, and log a reason that was not logged yet.

        A reason may quote addresses and answers of other servers."""
        problem = self._unhealthy()
        if problem is not None and problem != self._problem:
            log.warning("not ready: %s", problem)
        self._problem = problem
        return problem is None
