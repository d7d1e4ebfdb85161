"""Check that a refused request leaves nothing in memory, and which log lines errors of the storage
get."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from apiserver.apis.status import bad_request
from apiserver.filters.errors import with_errors
from apiserver.handlers.request.call import Call
from storage.base import Corrupt, Full, StorageError, TooLarge, Unavailable

if TYPE_CHECKING:
    from aiohttp.web import StreamResponse


class Body:
    """Stand in for the body of a request."""


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


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (Full("the disk is full: free space on it"), 503, 1),
        (Unavailable("etcd does not answer"), 503, 1),
        (Corrupt("the file is damaged: restore it"), 500, 1),
        (TooLarge("more than 1 MiB"), 413, 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, StorageError) else None,
)
async def test_what_the_storage_refuses_is_logged_in_one_line(
    error: StorageError, status: int, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_call: Call) -> StreamResponse:
        raise error

    async def handle(request: web.Request) -> StreamResponse:
        return await with_errors(refuse)(Call(request))

    app = web.Application()
    app.router.add_get("/x", handle)
    async with TestClient(TestServer(app)) as client:
        assert (await client.get("/x")).status == status
    logged = [record for record in caplog.records if record.name == "apiserver.filters.errors"]
    assert [str(error) in record.getMessage() for record in logged] == [True] * lines
    assert not any(record.exc_info for record in logged)
