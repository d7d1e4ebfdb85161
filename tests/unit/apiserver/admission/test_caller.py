"""Call webhooks over real TLS on loopback."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from apiserver.admission.caller import CallFailed, HttpCaller
from apiserver.admission.configurations import Webhook
from apiserver.server.tls import ServerTls
from tests.unit.apiserver.authorities import Authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

AUTHORITY, OTHER = Authority("webhooks"), Authority("others")


def pem(authority: Authority) -> str:
    return authority.certificate.public_bytes(Encoding.PEM).decode()


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Run a webhook on loopback, and yield its URL."""
    issued = AUTHORITY.server()
    context = ServerTls(issued.pem, issued.key_pem, []).context
    app = web.Application()
    app.router.add_post("/hook", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


@pytest.fixture
async def caller() -> AsyncIterator[HttpCaller]:
    made = HttpCaller()
    yield made
    await made.close()


def webhook(url: str, ca: str = "", timeout: float = 5) -> Webhook:
    return Webhook("c", "w", "u", url, ca or pem(AUTHORITY), timeout=timeout)


async def test_a_call(caller: HttpCaller) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert (request.content_type, request.query["timeout"]) == ("application/json", "5s")
        return web.Response(body=b"got " + await request.read())

    async with serving(answer) as url:
        assert [await caller.call(webhook(url), b"it") for _ in range(2)] == [b"got it"] * 2


async def test_only_the_webhooks_own_authority_is_trusted(caller: HttpCaller) -> None:
    async def answer(request: web.Request) -> web.Response:
        raise AssertionError("nothing is sent to who is not trusted")

    async with serving(answer) as url:
        for ca in (pem(OTHER), "nonsense"):
            with pytest.raises(CallFailed, match=r"not trusted|no certificates"):
                await caller.call(webhook(url, ca), b"secret")


async def test_answers_that_do_not_come(caller: HttpCaller) -> None:
    async def answer(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(answer) as url:
        with pytest.raises(CallFailed, match=r"no answer within 0\.05 s"):
            await caller.call(webhook(url, timeout=0.05), b"")
    with pytest.raises(CallFailed, match="cannot be reached"):
        await caller.call(webhook(url), b"")


@pytest.mark.parametrize(("status", "headers"), [(500, {}), (404, {}), (302, {"Location": "https://127.0.0.1:1/"})])
async def test_only_200_is_an_answer(caller: HttpCaller, status: int, headers: dict[str, str]) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    async with serving(answer) as url:
        with pytest.raises(CallFailed, match=f"HTTP status {status}"):
            await caller.call(webhook(url), b"")


async def test_answers_are_bounded() -> None:
    caller = HttpCaller(limit=1000)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1001)

    async with serving(answer) as url:
        with pytest.raises(CallFailed, match="larger than 1000 bytes"):
            await caller.call(webhook(url), b"")
    await caller.close()


async def test_few_authorities_are_kept() -> None:
    caller = HttpCaller(authorities=2)
    for ca in (pem(AUTHORITY), pem(OTHER), pem(Authority("third"))):
        caller._context(webhook("https://h/", ca))
    assert len(caller._contexts) == 2
