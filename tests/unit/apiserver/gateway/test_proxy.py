"""Check that a caller gets its own rights from kube-apiserver, whatever the request says."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from apiserver.filters.flowcontrol import FlowControl
from tests.unit.apiserver.authorities import client_context
from tests.unit.apiserver.gateway.harness import OWN, PODS, TENANT, VIEWS, Running, running
from tests.unit.apiserver.server.harness import SERVING

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL = "base64url.bearer.authorization.k8s.io."
BEARER = b"Authorization: Bearer tenant-token\r\n"


def in_protocol(token: str) -> str:
    return PROTOCOL + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


async def test_front_proxies_headers_do_not_pass(tmp_path: Path) -> None:
    vouching = {"X-Remote-User": "admin", "x-remote-GROUP": "system:masters", "X-Remote-Extra-Scopes": "a", "X-Told-User": "admin"}
    async with running(tmp_path, vouching=lambda: ("X-Told-User",)) as gateway:
        assert (await gateway.request("GET", PODS, {**TENANT, **vouching}))[0] == 200
        (seen,) = gateway.cluster.seen
        assert not [name for name, _ in seen.headers if name.lower().startswith(("x-remote", "x-told"))]
        # Nor do they name a user here.
        assert (await gateway.request("GET", VIEWS, vouching))[0] == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic dGVuYW50Og=="},
        {"Authorization": "Negotiate x"},
        {"Authorization": "Bearer wrong"},
        {"Impersonate-User": "tenant"},
        {"X-Remote-User": "tenant"},
        {"Sec-WebSocket-Protocol": PROTOCOL},
        {"Sec-WebSocket-Protocol": f"{PROTOCOL}%%%"},
        {"Sec-WebSocket-Protocol": in_protocol("wrong")},
        # kube-apiserver reads no token there unless a WebSocket is asked for.
        {"Sec-WebSocket-Protocol": in_protocol("tenant-token")},
    ],
)
async def test_anonymous_requests_are_refused(gateway: Running, headers: dict[str, str]) -> None:
    for path in (PODS, VIEWS, "/apis", "/openapi/v2", "/version"):
        status, error = await gateway.request("GET", path, headers)
        assert (status, error["reason"]) == (401, "Unauthorized"), path
    assert gateway.cluster.seen == []


async def test_a_client_certificate_is_not_asked_for_and_the_refusal_says_what_to_use(gateway: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.app.gateway_port, ssl=client_context(SERVING, OWN))
    writer.write(f"GET {PODS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"kubectl create token" in answer
    assert gateway.cluster.seen == []


async def test_impersonation_of_the_view_needs_the_right_as_everywhere(gateway: Running) -> None:
    status, error = await gateway.request("GET", VIEWS, {"Authorization": "Bearer other-token", "Impersonate-User": "tenant"})
    assert (status, error["reason"]) == (403, "Forbidden")
    assert gateway.rules.asked == [("other", "impersonate", "", "")]
    status, error = await gateway.request("GET", VIEWS, {**TENANT, "Impersonate-Group": "system:masters"})
    assert status == 400
    assert gateway.cluster.seen == []


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: Authorization\r\n",
        b"Connection: keep-alive, authorization\r\n",
        b"Connection: keep-alive\r\nConnection: Impersonate-User\r\n",
        b"Connection: X-Remote-User\r\n",
        b"Authorization: Bearer other-token\r\n",
        b"Authorization: Basic x\r\n",
        f"Sec-WebSocket-Protocol: {in_protocol('other-token')}\r\n".encode(),
        f"Sec-WebSocket-Protocol: v4.channel.k8s.io, {in_protocol('tenant-token')}\r\n".encode(),
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n",
    ],
)
async def test_headers_that_two_readers_could_read_differently_are_refused(gateway: Running, line: bytes) -> None:
    head = f"POST {PODS} HTTP/1.1\r\nHost: x\r\n".encode()
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n" + BEARER + b"\r\n"
    answer = await gateway.raw(head + BEARER + line + b"\r\n" + smuggled)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert gateway.cluster.seen == []


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"X-A: b\r\n folded: yes\r\n",
        b"Content-Length: +4\r\n",
    ],
)
async def test_a_body_whose_end_two_readers_could_see_elsewhere_is_refused(gateway: Running, line: bytes) -> None:
    head = f"POST {PODS} HTTP/1.1\r\nHost: x\r\n".encode()
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n" + BEARER + b"\r\n"
    answer = await gateway.raw(head + BEARER + line + b"\r\n" + smuggled)
    assert answer[:13] in (b"HTTP/1.0 400 ", b"HTTP/1.1 400 "), answer
    assert gateway.cluster.seen == []


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4, 4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 4\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: identity, chunked\r\nTransfer-Encoding: x\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding\x00: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n",
        b"X: y\nTransfer-Encoding: chunked\r\n",
    ],
)
@pytest.mark.parametrize("body", [b"0\r\n\r\n", b"4;a=\n\r\nbody\r\n0\r\n\r\n", b"0x4\r\nbody\r\n0\r\n\r\n", b" 4\r\nbody\r\n0\r\n\r\n"])
async def test_no_reading_of_a_body_makes_another_request_of_it(gateway: Running, head: bytes, body: bytes) -> None:
    """Hide a request of another method in what follows; kube-apiserver may see it in no body's
    place."""
    smuggled = b"DELETE /smuggled HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer other-token\r\nConnection: close\r\n\r\n"
    start = f"POST {PODS} HTTP/1.1\r\nHost: x\r\n".encode()
    await gateway.raw(start + BEARER + b"Connection: close\r\n" + head + b"\r\n" + body + smuggled)
    for seen in gateway.cluster.seen:
        assert (seen.method, seen.target, seen.all("Authorization")) == ("POST", PODS, ["Bearer tenant-token"])
        assert b"smuggled" not in seen.body
    assert len(gateway.cluster.seen) <= 1


async def test_a_body_that_breaks_off_leaves_no_connection_for_the_next_request(gateway: Running) -> None:
    """Announce more than is sent, so that the next caller's request would be read as the rest."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def read(request: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        try:
            await request.read()
        finally:
            ended.set()
        return web.Response()

    gateway.cluster.answers[PODS] = read
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.app.gateway_port, ssl=gateway.context())
    writer.write(f"POST {PODS} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n".encode() + BEARER + b"\r\nbegin")
    async with asyncio.timeout(60):
        await arrived.wait()
        writer.transport.abort()
        await ended.wait()
        for _ in range(20):
            status, found = await gateway.request("GET", f"{PODS}/p", {"Authorization": "Bearer other-token"})
            assert (status, found) == (200, {"path": f"{PODS}/p"})
    assert [one.all("Authorization") for one in gateway.cluster.seen[1:]] == [["Bearer other-token"]] * 20


async def test_http_2_and_methods_in_small_letters_are_refused(gateway: Running) -> None:
    for request in (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"get /apis HTTP/1.1\r\nHost: x\r\n" + BEARER + b"Connection: close\r\n\r\n"):
        assert b" 400 " in (await gateway.raw(request)).partition(b"\r\n")[0]
    assert gateway.cluster.seen == []
    context = gateway.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.app.gateway_port, ssl=context)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() in (None, "http/1.1")
    writer.close()


async def test_a_revoked_token_is_kube_apiservers_to_refuse(gateway: Running) -> None:
    """Revoke a token whose review is remembered: kube-apiserver answers, and has the token
    itself."""

    async def refuse(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "code": 401, "reason": "Unauthorized"}, status=401)

    assert (await gateway.request("GET", PODS))[0] == 200
    gateway.tokens.known.clear()
    gateway.cluster.answers[PODS] = refuse
    assert await gateway.request("GET", PODS) == (401, {"kind": "Status", "code": 401, "reason": "Unauthorized"})
    assert [seen.all("Authorization") for seen in gateway.cluster.seen] == [["Bearer tenant-token"]] * 2


async def test_what_a_proxied_service_answers_makes_no_identity(gateway: Running) -> None:
    """Let a service behind kube-apiserver's proxy answer with hop-by-hop headers, a redirect and a
    switch of protocols."""
    path = "/api/v1/namespaces/tenant-a/services/https:x:443/proxy/apis/metal3.io/v1alpha1/baremetalhosts"

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Location": f"{gateway.cluster.url}/secret", "Connection": "X-Kept", "X-Kept": "1", "Upgrade": "h2c", "Audit-Id": "x"}
        return web.Response(status=302, headers=headers)

    gateway.cluster.answers[path] = answer
    async with gateway.session.get(gateway.url + path, headers=TENANT, allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/secret")
        assert "Upgrade" not in response.headers
        assert response.headers["Audit-Id"] != "x"
    assert [seen.target for seen in gateway.cluster.seen] == [path]


async def test_a_target_in_absolute_form_and_connect_are_refused(gateway: Running) -> None:
    for line in (
        "GET https://elsewhere/api HTTP/1.1",
        "CONNECT elsewhere:443 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET //api/v1/pods HTTP/1.1",
    ):
        answer = await gateway.raw(f"{line}\r\nHost: x\r\n".encode() + BEARER + b"Connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 "), (line, answer)
    assert gateway.cluster.seen == []


async def test_kube_apiserver_sees_its_own_name_and_no_hop(gateway: Running) -> None:
    headers = {**TENANT, "Host": "metal3.example", "Proxy-Authorization": "Basic x", "TE": "trailers", "Keep-Alive": "9", "Expect": ""}
    del headers["Expect"]
    assert (await gateway.request("GET", PODS, {**headers, "X-Forwarded-For": "192.0.2.1"}))[0] == 200
    (seen,) = gateway.cluster.seen
    assert seen.all("Host") == [gateway.cluster.url.removeprefix("https://")]
    assert not {"proxy-authorization", "te", "keep-alive", "connection"} & {name.lower() for name, _ in seen.headers}
    assert seen.all("X-Forwarded-For") == ["192.0.2.1, 127.0.0.1"]


async def test_a_chunked_body_is_framed_again(gateway: Running) -> None:
    head = f"POST {PODS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n".encode()
    assert (await gateway.raw(head + BEARER + b"\r\n4;x=y\r\nbody\r\n0\r\nTrailer: x\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    (seen,) = gateway.cluster.seen
    assert (seen.body, seen.all("Transfer-Encoding"), seen.all("Trailer")) == (b"body", ["chunked"], [])


async def test_answers_keep_their_length_and_lose_their_hops(gateway: Running) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(
            status=202, text="four", headers={"Keep-Alive": "5", "Proxy-Authenticate": "x", "X-Mine": "1", "Audit-ID": "other"}
        )

    gateway.cluster.answers[PODS] = answer
    async with gateway.session.get(gateway.url + PODS, headers={**TENANT, "Audit-ID": "mine"}) as response:
        assert (response.status, response.headers["Content-Length"], response.headers["X-Mine"]) == (202, "4", "1")
        assert not {"Keep-Alive", "Proxy-Authenticate", "Transfer-Encoding"} & set(response.headers)
        assert response.headers.getall("Audit-ID") == ["mine"]
    assert gateway.cluster.seen[0].all("Audit-ID") == ["mine"]
    async with gateway.session.head(gateway.url + PODS, headers=TENANT) as response:
        assert (response.status, response.headers["Content-Length"], await response.read()) == (202, "4", b"")


async def test_a_write_is_sent_once_and_its_outcome_is_not_invented(gateway: Running) -> None:
    async def broken(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    gateway.cluster.answers[PODS] = broken
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        gateway.cluster.seen.clear()
        async with gateway.session.request(method, gateway.url + PODS, headers=TENANT, data=b"x") as response:
            assert response.status == 502
            assert "Retry-After" not in response.headers
        assert len(gateway.cluster.seen) == 1
    async with gateway.session.get(gateway.url + PODS, headers=TENANT) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")


async def test_an_answer_that_breaks_off_has_no_end(gateway: Running) -> None:
    async def half(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    gateway.cluster.answers[PODS] = half
    answer = await gateway.raw(f"GET {PODS} HTTP/1.1\r\nHost: x\r\n".encode() + BEARER + b"\r\n")
    assert answer.endswith(b"4\r\nhalf\r\n")


async def test_a_watch_ends_with_the_server_and_with_its_client(gateway: Running) -> None:
    gone = asyncio.Event()

    async def events(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await response.write(b"{}\n")
            await asyncio.Event().wait()
        finally:
            gone.set()
        return response

    gateway.cluster.answers[PODS] = events
    async with gateway.session.get(f"{gateway.url}{PODS}?watch=1", headers=TENANT) as response:
        assert await response.content.readline() == b"{}\n"
    async with asyncio.timeout(60):
        await gone.wait()
    async with gateway.session.get(f"{gateway.url}{PODS}?watch=1", headers=TENANT) as response:
        assert await response.content.readline() == b"{}\n"
        assert gateway.app.gateway is not None
        gateway.app.gateway.stop_streams()
        assert await response.content.read() == b""


async def test_requests_of_one_user_leave_seats_for_others(tmp_path: Path) -> None:
    arrived, held = asyncio.Event(), asyncio.Event()

    async def hold(request: web.BaseRequest) -> web.StreamResponse:
        arrived.set()
        if request.headers["Authorization"] == TENANT["Authorization"]:
            await held.wait()
        return web.Response(text="done")

    async with running(tmp_path, flow_control=FlowControl(10, 10)) as gateway:
        gateway.cluster.answers[PODS] = hold
        waiting = [asyncio.create_task(gateway.request("GET", PODS)) for _ in range(20)]
        async with asyncio.timeout(60):
            await arrived.wait()
            assert (await gateway.request("GET", PODS, {"Authorization": "Bearer other-token"}))[0] == 200
        assert len(gateway.cluster.seen) < 10
        # Their seats are not those of the view.
        assert (await gateway.request("GET", VIEWS))[0] == 200
        held.set()
        answers: list[tuple[int, Any]] = await asyncio.gather(*waiting)
        assert {status for status, _ in answers} == {200}
