"""Check what a refused request leaves behind."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from apiserver.apis.status import bad_request
from apiserver.filters.errors import with_errors
from apiserver.handlers.request.call import Call

if TYPE_CHECKING:
    from aiohttp.web import StreamResponse


class Body:
    """Stand in for what a request sent."""


async def test_a_refused_request_leaves_nothing_behind() -> None:
    kept: list[weakref.ref[Body]] = []

    async def refuse(_call: Call) -> StreamResponse:
        body = Body()
        kept.append(weakref.ref(body))
        try:
            raise ValueError(body)
        except ValueError as error:
            problem = error
            raise bad_request("no") from problem

    async def handle(request: web.Request) -> StreamResponse:
        return await with_errors(refuse)(Call(request))

    app = web.Application()
    app.router.add_get("/x", handle)
    async with TestClient(TestServer(app)) as client:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                assert (await client.get("/x")).status == 400
            assert [found() for found in kept] == [None] * 5
        finally:
            gc.enable()
