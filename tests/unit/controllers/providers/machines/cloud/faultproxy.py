"""Put a proxy in front of a cloud. Tests can close it, or replace responses with it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class FaultProxy:
    """Forwards each request, unless `answer` (called with the action) returns another response.

    `asked` lists the actions: list, create, terminate, start, stop, reboot, tag, untag, or the
    cloud's own name. `meet`: barriers at which requests wait
    for each other, by action."""

    def __init__(self, target: int, verb: Callable[[web.Request, bytes], str]) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.answer: Callable[[str], web.StreamResponse | None] = lambda action: None
        self.hangs = False
        self.meet: dict[str, asyncio.Barrier] = {}
        self._target, self._verb = target, verb

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        verb = self._verb(request, body)
        self.asked.append(verb)
        while self.hangs:  # noqa: ASYNC110 (until the client gives up, or the test ends)
            await asyncio.sleep(0.05)
        if verb in self.meet:
            await self.meet[verb].wait()
        if (other := self.answer(verb)) is not None:
            return other
        return await self._forward(request, body)

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        url = f"http://127.0.0.1:{self._target}{request.raw_path}"
        headers = {key: value for key, value in request.headers.items() if key.lower() not in {"content-length", "accept-encoding"}}
        async with aiohttp.ClientSession() as session, session.request(request.method, url, data=body, headers=headers) as got:
            answer = web.Response(status=got.status, body=await got.read())
            kept = {"Content-Type", "X-Subject-Token"}
            answer.headers.update({key: value for key, value in got.headers.items() if key in kept})
            return answer


@asynccontextmanager
async def proxy(target: int, verb: Callable[[web.Request, bytes], str]) -> AsyncIterator[FaultProxy]:
    """Yield a proxy on a free port."""
    made = FaultProxy(target, verb)
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{rest:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = int(runner.addresses[0][1])
    try:
        yield made
    finally:
        made.hangs = False
        await runner.cleanup()
