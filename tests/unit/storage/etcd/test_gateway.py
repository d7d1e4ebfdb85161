"""Check why parts of etcd3-py are replaced: what its own parts do, and what ours do instead. When a
test of the first kind fails, etcd3-py may be fixed, and a replacement can be removed."""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

import asyncio
import inspect
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from etcd3.aio_client import AioClient

from hack.realcluster.ports import reserve
from storage.etcd.errors import Broken, NotSent, Refused
from storage.etcd.gateway import Gateway, check_endpoint
from tests.unit.storage.etcd.fakeetcd import DROP, HANG, FakeEtcd, Refusal, b64, created, header, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.unit.storage.etcd.fakeetcd import Socket


@asynccontextmanager
async def gateway(etcd: FakeEtcd, *, pool: int = 8) -> AsyncIterator[Gateway]:
    made = Gateway(etcd.endpoint, None, pool=pool)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def etcd() -> AsyncIterator[FakeEtcd]:
    async with running() as fake:
        yield fake


@pytest.mark.filterwarnings("ignore:cannot detect etcd server version")
async def test_the_probe_of_the_constructor() -> None:
    port = reserve()
    with pytest.raises(AttributeError):
        AioClient(port=port)
    made = Gateway(f"http://127.0.0.1:{port}", None, pool=1)
    assert made.api_prefix == "/v3"
    await made.close()


async def test_errors_since_3_6(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", Refusal(400, {"code": 11, "message": "etcdserver: mvcc: required revision has been compacted"}))
    async with gateway(etcd) as ours:
        with pytest.raises(TypeError):
            await ours.range("a")
        with pytest.raises(Refused, match="compacted") as caught:
            await ours.call("/kv/range", b"{}", 5)
        assert caught.value.compacted


async def test_timeouts(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", HANG)
    assert inspect.signature(AioClient).parameters["timeout"].default is None
    async with gateway(etcd) as ours:
        with pytest.raises(Broken, match="not in time"):
            await asyncio.wait_for(ours.call("/kv/range", b"{}", 0.1), 60)


async def test_empty_values(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", {**header(2), "kvs": [{"key": b64(b"a"), "mod_revision": "2"}], "count": "1"})
    async with gateway(etcd) as ours:
        theirs = await ours.range("a")
        assert theirs.kvs[0].value is None
        answer = await ours.call("/kv/range", b'{"key":"YQ=="}', 5)
        # storage.etcd.codec turns the missing value into b"".
        assert answer["kvs"] == [{"key": b64(b"a"), "mod_revision": "2"}]


async def test_streams(etcd: FakeEtcd) -> None:
    async with gateway(etcd) as ours:
        theirs = ours.watch_create("a")
        with pytest.raises(TypeError):
            await anext(theirs)
        theirs.resp.close()

        async def script(socket: Socket) -> None:
            assert await socket.next() == {"hello": 1}
            await socket.send(created(3))
            await socket.hang()

        etcd.watches.append(script)
        async with await ours.open_watch() as socket:
            await socket.send_str('{"hello":1}')
            assert await socket.receive_json() == created(3)


async def test_watches_leave_room_for_calls(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", header(2))
    etcd.watches.extend([hang] * 3)
    async with gateway(etcd, pool=1) as ours:
        sockets = [await ours.open_watch() for _ in range(3)]
        assert await ours.call("/kv/range", b"{}", 5) == header(2)
        for socket in sockets:
            await socket.close()


async def hang(socket: Socket) -> None:
    await socket.hang()


async def test_waiting_calls_come_to_their_turn(etcd: FakeEtcd) -> None:
    """Let callers return at once. With aiohttp's own limit of connections they would overtake those
    that wait."""
    etcd.answer("/kv/range", header(2))
    finished: list[int] = []
    async with gateway(etcd, pool=2) as ours:

        async def call_often(caller: int) -> None:
            for _ in range(10):
                await ours.call("/kv/range", b"{}", 5)
                finished.append(caller)

        await asyncio.gather(*(call_often(n) for n in range(6)))
    for begin in range(0, 48, 6):
        window = finished[begin : begin + 12]
        assert set(window) == set(range(6)), window


async def test_a_call_that_times_out_in_the_queue_has_sent_nothing(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/put", HANG)
    async with gateway(etcd, pool=1) as ours:
        first = asyncio.create_task(ours.call("/kv/put", b"{}", 1))
        await asyncio.sleep(0)
        with pytest.raises(NotSent):
            await ours.call("/kv/put", b"{}", 0.1)
        with pytest.raises(Broken):
            await first
        assert len(etcd.asked("/kv/put")) == 1


async def test_tls_checks_host_names_and_needs_no_client_certificate() -> None:
    context = ssl.create_default_context()
    asked: list[ssl.SSLContext] = []

    def give() -> ssl.SSLContext:
        asked.append(context)
        return context

    ours = Gateway("https://127.0.0.1:1", give, pool=1)
    try:
        # etcd3-py's own context exists only with a client certificate, and is without
        # check_hostname.
        assert ours.ssl_context is None
        with pytest.raises(NotSent):
            await ours.call("/kv/range", b"{}", 5)
        with pytest.raises(NotSent):
            await ours.open_watch()
        assert asked == [context, context]
        assert context.check_hostname
    finally:
        await ours.close()


async def test_without_a_server_nothing_was_sent() -> None:
    ours = Gateway(f"http://127.0.0.1:{reserve()}", None, pool=1)
    try:
        for method in (lambda: ours.call("/kv/put", b"{}", 5), ours.open_watch):
            with pytest.raises(NotSent):
                await method()
    finally:
        await ours.close()


async def test_a_lost_connection_leaves_the_outcome_open(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/put", DROP)
    async with gateway(etcd) as ours:
        with pytest.raises(Broken):
            await ours.call("/kv/put", b"{}", 5)
    assert len(etcd.asked("/kv/put")) == 1


async def test_big_requests_are_sent_whole(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/put", header(2))
    async with gateway(etcd) as ours:
        value = "x" * (1 << 21)
        await ours.call("/kv/put", b'{"value":"%s"}' % value.encode(), 5)
    assert etcd.asked("/kv/put") == [{"value": value}]


async def test_the_token_goes_along(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", header(2))
    etcd.watches.append(hang)
    async with gateway(etcd) as ours:
        ours.token = "abc.7"
        await ours.call("/kv/range", b"{}", 5)
        await (await ours.open_watch()).close()
    assert etcd.tokens[0] == "abc.7"
    # The gateway's websocket proxy turns this into "Authorization: Bearer abc.7".
    assert str(etcd.tokens[1]).replace(" ", "") == "Bearer,abc.7"


@pytest.mark.parametrize("answer", [Refusal(502, b"<html>Bad Gateway"), Refusal(200, b"<html>Welcome")])
async def test_a_proxy_in_between_is_reported(etcd: FakeEtcd, answer: Refusal) -> None:
    etcd.answer("/kv/range", answer)
    async with gateway(etcd) as ours:
        with pytest.raises((Refused, Broken)) as caught:
            await ours.call("/kv/range", b"{}", 5)
        assert caught.value.repeatable


async def test_closing_ends_calls_and_watches(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", HANG)
    etcd.watches.append(hang)
    async with gateway(etcd) as ours:
        call = asyncio.create_task(ours.call("/kv/range", b"{}", 30))
        socket = await ours.open_watch()
        await etcd.until_called()
        await ours.close()
        with pytest.raises(Broken):
            await call
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        with pytest.raises((Broken, NotSent)):
            await ours.call("/kv/range", b"{}", 1)
        with pytest.raises(NotSent):
            await ours.open_watch()


@pytest.mark.parametrize(
    ("given", "tls", "made"),
    [
        ("etcd:2379", False, "http://etcd:2379"),
        ("etcd:2379", True, "https://etcd:2379"),
        ("https://etcd.example.org:2379/", False, "https://etcd.example.org:2379"),
        ("http://10.0.0.1:2379", False, "http://10.0.0.1:2379"),
        ("[::1]:2379", False, "http://[::1]:2379"),
    ],
)
def test_endpoints(given: str, tls: bool, made: str) -> None:
    assert check_endpoint(given, tls=tls) == made


@pytest.mark.parametrize(
    ("given", "tls"),
    [
        ("", False),
        ("etcd", False),
        ("etcd:http", False),
        ("etcd:99999", False),
        ("http://etcd:1/v3", False),
        ("ftp://etcd:1", False),
        ("http://etcd:1", True),
        ("user:secret@etcd:1", False),
    ],
)
def test_invalid_endpoints_are_refused(given: Any, tls: bool) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each has its own words
        check_endpoint(given, tls=tls)
    assert "secret" not in str(caught.value)


async def test_a_caller_that_does_not_continue_keeps_no_connection_from_others(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", header(7), header(7))
    async with gateway(etcd, pool=1) as ours:
        stopped = ours.call("/kv/range", b"{}", 5)
        waited = stopped.send(None)  # as flow control does, but only once
        assert waited is not None
        assert await ours.call("/kv/range", b"{}", 5) == header(7)
        stopped.close()
