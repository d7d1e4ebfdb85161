"""Serve /healthz, /readyz and /livez for commands that serve nothing else.

They listen on loopback, or for a kubelet's probes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from apiserver.cli.running import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HealthServer"]


class HealthServer:
    """A health server: 200 "ok", or 503 with the reason that `unhealthy()` returns.

    /livez is 200 as long as the process answers."""

    def __init__(self, port: int, unhealthy: Callable[[], str | None], host: str = "127.0.0.1") -> None:
        self._port, self._unhealthy, self._host = port, unhealthy, host
        self.bound = 0

    async def run(self) -> None:
        """Serve until cancelled. Raises UsageError if the port is in use."""
        app = web.Application()
        app.add_routes([web.get("/healthz", self._ready), web.get("/readyz", self._ready), web.get("/livez", self._alive)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            try:
                await site.start()
            except OSError as error:
                raise UsageError(f"--health-port {self._port} of {self._host} cannot be used: {error.strerror}") from None
            self.bound = runner.addresses[0][1]
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _ready(self, request: web.Request) -> web.Response:
        problem = self._unhealthy()
        return web.Response(text="ok\n") if problem is None else web.Response(status=503, text=f"{problem}\n")

    async def _alive(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")
