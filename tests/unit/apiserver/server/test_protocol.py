"""Test the port with bad, slow, hasty and too many clients. No answer ever has a traceback."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from apiserver.apis.status import conflict
from apiserver.filters.flowcontrol import FlowControl
from apiserver.flowcontrol.loopscheduler import LoopScheduler
from apiserver.server.metrics import render
from storage.base import Compacted, Unavailable
from tests.unit.apiserver.authorities import client_context
from tests.unit.apiserver.server.harness import CLIENTS, SERVING, Setup, serving
from tests.unit.controllers.fakeapi import eventually

if TYPE_CHECKING:
    from apiserver.handlers.request.call import Call

ALICE = CLIENTS.issue("alice")
MASTER = CLIENTS.issue("root", ["system:masters"])
THINGS = "/apis/g/v1/things"


class Gate:
    """Handle a call: announce when it begins and ends, and answer once `open` is set."""

    def __init__(self) -> None:
        self.entered, self.open, self.left = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, call: Call) -> web.StreamResponse:
        self.entered.set()
        try:
            await self.open.wait()
        finally:
            self.left.set()
        return web.Response(text="done")


async def within(event: asyncio.Event) -> None:
    async with asyncio.timeout(60):
        await event.wait()


async def exchange(setup: Setup, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes on a bare connection, and read one answer until the server closes."""
    async with serving(setup) as port:
        reader, writer = await port.raw()
        writer.write(request)
        async with asyncio.timeout(60):
            answer = await reader.read()
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GARBAGE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET /version HTTP/9.9\r\n\r\n",
        b"GET /version HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\nX-Remote-User : spaced\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: x\r\nX-Big: " + b"canary" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"canary" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(5000)) + b"\r\n",
    ],
    ids=["garbage", "tls-in-tls", "version", "no-colon", "two-lengths", "smuggling", "space", "big-header", "big-line", "many-headers"],
)
async def test_what_is_no_request_is_answered_with_a_status_and_closed(request_bytes: bytes, caplog: pytest.LogCaptureFixture) -> None:
    status, headers, body = await exchange(Setup(), request_bytes)
    assert (status, headers["content-type"]) == (400, "application/json")
    assert orjson.loads(body)["reason"] == "BadRequest"
    assert b"canary" not in body
    assert b"Traceback" not in body
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_path_that_could_be_read_in_two_ways_is_refused() -> None:
    for path in (b"/apis//g/v1", b"/apis/g/v1/../../x", b"/apis/g/v1/things/a%2Fb", b"/healthz/../metrics"):
        status, _, body = await exchange(Setup(), b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
        assert (status, orjson.loads(body)["reason"]) == (400, "BadRequest")


async def test_a_client_that_does_not_finish_its_headers_is_cut() -> None:
    async with serving(Setup(header_seconds=0.2)) as port:
        reader, writer = await port.raw()
        writer.write(b"GET /version HTTP/1.1\r\nX-Slow: ")
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()
        # A client that finished its headers is not cut.
        async with port.client(ALICE).get("/version") as response:
            assert response.status == 200


async def test_a_connection_in_reserve_is_not_cut_before_its_first_request() -> None:
    """Go's clients open connections that they need only later, and do not send every request
    again."""
    async with serving(Setup(header_seconds=0.05)) as port:
        reader, writer = await port.raw()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.read()
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"401"
        writer.close()


async def test_a_body_that_does_not_come_is_a_504() -> None:
    async def read(call: Call) -> web.StreamResponse:
        await call.http.read()
        return web.Response()

    async with serving(Setup(handler=read)) as port:
        reader, writer = await port.raw(ALICE)
        writer.write(b"POST %s?timeout=200ms HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345" % THINGS.encode())
        async with asyncio.timeout(60):
            answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert b" 504 " in answer.split(b"\r\n")[0]


async def test_a_deadline_ends_the_handler() -> None:
    gate = Gate()
    async with serving(Setup(handler=gate)) as port:
        status, body = await port.identity(ALICE, path=f"{THINGS}?timeout=100ms")
        await within(gate.left)
    assert (status, body["reason"]) == (504, "Timeout")


async def test_a_timeout_that_is_none_is_refused() -> None:
    async with serving(Setup()) as port:
        status, body = await port.identity(ALICE, path=f"{THINGS}?timeout=soon")
    assert (status, body["message"]) == (400, 'invalid timeout specified in the request URL: time: invalid duration "soon"')


async def test_watches_have_no_deadline() -> None:
    gate = Gate()
    async with serving(Setup(handler=gate, request_seconds=0.05)) as port:
        watch = asyncio.create_task(port.client(ALICE).get(f"{THINGS}?watch=true"))
        await within(gate.entered)
        # The deadline of another request has passed meanwhile.
        assert (await port.identity(ALICE, path=THINGS))[0] == 504
        gate.open.set()
        async with await watch as response:
            assert response.status == 200


@pytest.mark.parametrize(("method", "name"), [("GET", "readOnly"), ("POST", "mutating")])
async def test_a_request_without_a_seat_in_time_is_refused(method: str, name: str) -> None:
    gate, control = Gate(), FlowControl(1, 1, queue_seconds=0.1)
    async with serving(Setup(handler=gate, flow_control=control)) as port:
        client, master = port.client(ALICE), port.client(MASTER)
        first = asyncio.create_task(client.request(method, THINGS))
        await within(gate.entered)
        assert control.current[name] == 1
        async with client.request(method, THINGS) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
            body = await response.json()
        assert (body["reason"], body["details"]) == ("TooManyRequests", {"retryAfterSeconds": 1})
        # Watches take no seat, health checks have their own, and masters need none.
        free = [client.get(f"{THINGS}?watch=1"), port.client().get("/readyz"), master.request(method, THINGS)]
        waiting = [asyncio.create_task(one) for one in free]
        gate.open.set()
        for task in (first, *waiting):
            async with await task as response:
                assert response.status == 200
    assert control.current == {"readOnly": 0, "mutating": 0}
    assert control.levels["workloads"].rejected == {"time-out": 1}


async def test_a_client_that_goes_away_cancels_its_request() -> None:
    gate, control = Gate(), FlowControl()
    async with serving(Setup(handler=gate, flow_control=control)) as port:
        _, writer = await port.raw(ALICE)
        writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % THINGS.encode())
        await within(gate.entered)
        writer.transport.abort()
        await within(gate.left)
    assert control.current["readOnly"] == 0


async def test_more_connections_in_use_than_allowed_are_refused() -> None:
    began, over = asyncio.Event(), asyncio.Event()

    async def wait(call: Call) -> web.StreamResponse:
        began.set()
        await over.wait()
        return web.Response()

    async with serving(Setup(handler=wait, max_connections=1)) as port:
        _, writer = await port.raw(ALICE)
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        await began.wait()
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await port.identity(ALICE)
        over.set()
        writer.close()


async def test_a_client_that_does_not_read_loses_its_connection() -> None:
    async def answer(call: Call) -> web.StreamResponse:
        return web.Response(body=bytes(16 * 1024 * 1024))

    async with serving(Setup(handler=answer, write_seconds=0.2)) as port:
        _, writer = await port.raw(ALICE)
        writer.transport.pause_reading()  # type: ignore[attr-defined] # private to the library, and not in its types
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
        await eventually(lambda: port.connections.requests_count > 1)
        await eventually(lambda: not port.connections.connections)
        writer.transport.abort()


async def test_an_unused_connection_makes_room_for_a_new_one() -> None:
    async with serving(Setup(max_connections=1)) as port:
        for _ in range(3):
            # each client keeps its connection
            async with port.client(ALICE).get("/version") as response:
                assert response.status == 200


async def test_an_unexpected_error_is_a_500_without_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(call: Call) -> web.StreamResponse:
        raise RuntimeError("canary")

    async with (
        serving(Setup(handler=fail)) as port,
        port.client(ALICE).get(THINGS, headers={"Audit-ID": "abc-1", "Accept": "text/html"}) as response,
    ):
        body = await response.text()
        assert (response.status, response.headers["Audit-ID"]) == (500, "abc-1")
    assert orjson.loads(body)["reason"] == "InternalError"
    assert "canary" not in body
    assert "Traceback" not in body
    assert [record for record in caplog.records if "abc-1" in record.getMessage() and record.exc_info]


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (Unavailable("canary"), 503, "ServiceUnavailable"),
        (Compacted(3, 5), 410, "Expired"),
        (conflict("g", "things", "t", "w"), 409, "Conflict"),
    ],
)
async def test_expected_failures(error: Exception, code: int, reason: str) -> None:
    async def fail(call: Call) -> web.StreamResponse:
        raise error

    async with serving(Setup(handler=fail)) as port:
        status, body = await port.identity(ALICE, path=THINGS)
    assert (status, body["reason"], body["code"]) == (code, reason, code)
    assert "canary" not in str(body)


async def test_an_answer_that_cannot_be_completed_is_cut_not_ended() -> None:
    async def half(call: Call) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(call.http)
        await response.write(b"half")
        raise RuntimeError("canary")

    async with serving(Setup(handler=half)) as port, port.client(ALICE).get(THINGS) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "<script>", "a/b"])
async def test_an_audit_id_that_is_none_is_replaced(given: str) -> None:
    async with serving(Setup()) as port, port.client(ALICE).get("/version", headers={"Audit-ID": given}) as response:
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", response.headers["Audit-ID"])


async def test_metrics_count_by_what_is_served_only() -> None:
    setup = Setup()
    async with serving(setup) as port:
        paths = (THINGS, f"{THINGS}/a", "/apis/made/up/canary", "/apis/g/canary/things", f"{THINGS}/a/canary", "/canary")
        for path in paths:
            assert (await port.identity(ALICE, path=path))[0] == 200
    of_things = {"verb": "LIST", "group": "g", "version": "v1", "resource": "things", "scope": "cluster"}
    nothing = dict.fromkeys(("dry_run", "group", "version", "resource", "subresource", "scope"), "") | {"component": "apiserver"}
    value = setup.metrics.registry.get_sample_value
    assert value("apiserver_request_total", {**nothing, **of_things, "code": "200"}) == 1
    assert value("apiserver_request_duration_seconds_count", {**nothing, "verb": "GET"}) == 1
    text = (await render(setup.metrics.registry)).decode()
    assert "canary" not in text


async def test_rotated_serving_certificates_are_shown_to_new_connections() -> None:
    setup = Setup()
    async with serving(setup) as port:
        _, writer = await port.raw()
        first: Any = writer.get_extra_info("ssl_object").getpeercert(True)
        fresh = SERVING.server()
        setup.tls.serve(fresh.pem, fresh.key_pem)
        _, other = await port.raw()
        second = other.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
        other.close()
    assert first != second


async def test_only_callers_with_access_get_100_continue() -> None:
    async def echo(call: Call) -> web.StreamResponse:
        return web.Response(body=await call.http.read())

    setup = Setup(handler=echo)
    request = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\nExpect: %s\r\n\r\n"
    async with serving(setup) as port, asyncio.timeout(60):
        reader, writer = await port.raw(ALICE)
        writer.write(request % (THINGS.encode(), b"100-Continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await reader.read()).endswith(b"\r\n\r\nbody")
        writer.close()
        setup.rules.forbidden = {("alice", "create")}
        for expectation, code in ((b"100-continue", b"403"), (b"canary", b"403")):
            reader, writer = await port.raw(ALICE)
            writer.write(request % (THINGS.encode(), expectation))
            assert (await reader.readline()).split()[1] == code
            writer.close()
        setup.rules.forbidden = set()
        reader, writer = await port.raw(ALICE)
        writer.write(request % (THINGS.encode(), b"canary"))
        assert (await reader.readline()).split()[1] == b"417"
        writer.close()


@pytest.mark.parametrize("order", [1, -1])
async def test_the_client_says_which_cipher_is_best(order: int) -> None:
    ciphers = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"][::order]
    context = client_context(SERVING, ALICE)
    # The ssl module cannot order the ciphers of TLS 1.3.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(ciphers))
    async with serving(Setup()) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port.number, ssl=context)
        assert writer.get_extra_info("cipher")[0] == ciphers[0]
        writer.close()
        await writer.wait_closed()


async def test_flow_control_hears_of_each_request_that_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[None] = []
    monkeypatch.setattr(LoopScheduler, "arrived", lambda _: heard.append(None))
    async with serving(Setup()) as port:
        client = port.client(ALICE)
        for number in range(1, 3):
            async with client.get("/version") as response:
                await response.read()
            assert len(heard) == number
