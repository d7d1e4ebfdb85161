"""A door before a cloud, which tests can close or have answer otherwise."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["Door", "door", "refused"]


class Door:
    """Forwards each request, unless `answer` (called with its Action) gives another response. `asked` lists the Actions."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.answer: Callable[[str], web.StreamResponse | None] = lambda action: None
        self.hangs = False
        self._target = target

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        action = request.query.get("Action") or dict(part.split("=", 1) for part in body.decode().split("&") if "=" in part).get(
            "Action", ""
        )
        self.asked.append(action)
        while self.hangs:  # noqa: ASYNC110 (until the client gives up, or the test ends)
            await asyncio.sleep(0.05)
        if (other := self.answer(action)) is not None:
            return other
        url = f"http://127.0.0.1:{self._target}{request.raw_path}"
        headers = {key: value for key, value in request.headers.items() if key.lower() not in {"content-length", "accept-encoding"}}
        async with aiohttp.ClientSession() as session, session.request(request.method, url, data=body, headers=headers) as got:
            answer = web.Response(status=got.status, body=await got.read())
            answer.headers["Content-Type"] = got.headers.get("Content-Type", "text/xml")
            return answer


@asynccontextmanager
async def door(target: int) -> AsyncIterator[Door]:
    """A door on a free port."""
    made = Door(target)
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{rest:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = int(site._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]
    try:
        yield made
    finally:
        made.hangs = False
        await runner.cleanup()


def refused(code: str, message: str = "no", status: int = 400) -> web.Response:
    """An error as EC2 writes it."""
    text = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
    return web.Response(status=status, text=text, content_type="text/xml")
