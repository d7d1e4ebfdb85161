"""Use several endpoints as one: which calls are tried elsewhere, which are never sent twice, and
one login for all callers."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hack.realcluster.ports import reserve
from storage.base import Corrupt, Put, TooLarge, Unavailable
from storage.etcd import EtcdStore
from storage.etcd.cluster import Cluster
from storage.etcd.errors import Refused
from tests.unit.storage.etcd.fakeetcd import DROP, HANG, FakeEtcd, Refusal, header, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NO_LEADER = Refusal(503, {"code": 14, "message": "etcdserver: no leader"})
BAD_TOKEN = Refusal(401, {"code": 16, "message": "etcdserver: invalid auth token"})


@pytest.fixture
async def etcds() -> AsyncIterator[list[FakeEtcd]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running()) for _ in range(2)]


@asynccontextmanager
async def cluster(*endpoints: str | FakeEtcd, user: str = "", timeout: float = 5) -> AsyncIterator[Cluster]:
    addresses = [each.endpoint if isinstance(each, FakeEtcd) else each for each in endpoints]
    made = Cluster(addresses, tls=None, user=user, password="password" if user else "", timeout=timeout, pool=32)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def nobody() -> str:
    return f"http://127.0.0.1:{reserve()}"


async def test_where_no_server_is_the_next_one_is_asked_also_to_write(etcds: list[FakeEtcd]) -> None:
    etcds[0].answer("/kv/txn", header(5))
    async with cluster(nobody(), etcds[0]) as made:
        assert await made.write("/kv/txn", b"{}") == header(5)
        assert made.current.endpoint == etcds[0].endpoint  # later calls start here
    assert len(etcds[0].asked("/kv/txn")) == 1


@pytest.mark.parametrize("answer", [DROP, NO_LEADER])
async def test_a_write_of_unknown_outcome_is_not_sent_again(etcds: list[FakeEtcd], answer: Any) -> None:
    for etcd in etcds:
        etcd.answer("/kv/txn", answer)
    async with cluster(*etcds) as made:
        with pytest.raises(Unavailable):
            await made.write("/kv/txn", b"{}")
        assert sum(len(etcd.asked("/kv/txn")) for etcd in etcds) == 1
        assert made.current.endpoint == etcds[1].endpoint  # the next call starts there


@pytest.mark.parametrize("answer", [DROP, NO_LEADER, HANG])
async def test_a_read_is_repeated_elsewhere_in_time(etcds: list[FakeEtcd], answer: Any) -> None:
    etcds[0].answer("/kv/range", answer)
    etcds[1].answer("/kv/range", header(7))
    async with cluster(*etcds, timeout=3) as made:
        # A call that has used up its time raises Unavailable.
        assert await made.read("/kv/range", b"{}") == header(7)


@pytest.mark.parametrize("answer", [DROP, NO_LEADER, HANG])
async def test_when_none_answers_that_is_reported_in_time(etcds: list[FakeEtcd], answer: Any) -> None:
    for etcd in etcds:
        etcd.answer("/kv/range", answer)
    async with cluster(*etcds, timeout=0.4) as made:
        with pytest.raises(Unavailable, match=r"127\.0\.0\.1.*127\.0\.0\.1"):
            await asyncio.wait_for(made.read("/kv/range", b"{}"), 60)


async def test_what_every_member_would_say_is_not_repeated(etcds: list[FakeEtcd]) -> None:
    etcds[0].answer("/kv/range", Refusal(400, {"code": 11, "message": "etcdserver: mvcc: required revision is a future revision"}))
    async with cluster(*etcds) as made:
        with pytest.raises(Refused) as caught:
            await made.read("/kv/range", b"{}")
        assert caught.value.future
        assert made.current.endpoint == etcds[0].endpoint
    assert len(etcds[0].calls) == 1


async def test_concurrent_calls_with_a_stale_token_log_in_once(etcds: list[FakeEtcd]) -> None:
    etcd = etcds[0]
    etcd.answer("/auth/authenticate", {"token": "one"}, {"token": "two"})
    async with cluster(*etcds, user="me") as made:
        assert etcd.asked("/auth/authenticate") == [{"name": "me", "password": "password"}]
        etcd.answer("/kv/txn", *[BAD_TOKEN] * 20, header(8))
        assert await asyncio.gather(*(made.write("/kv/txn", b"{}") for _ in range(20))) == [header(8)] * 20
        assert len(etcd.asked("/auth/authenticate")) == 2
        tokens = [token for token, (path, _) in zip(etcd.tokens, etcd.calls, strict=True) if path == "/kv/txn"]
        assert tokens[:20] == ["one"] * 20
        assert tokens[20:] == ["two"] * 20
        made.fail_over(made.current, Refused(14, "gone"))
        assert made.current.token == "two"  # the members share their tokens


async def test_a_token_that_is_refused_again_ends_it(etcds: list[FakeEtcd]) -> None:
    etcds[0].answer("/auth/authenticate", {"token": "one"}, {"token": "two"}, {"token": "three"})
    etcds[0].answer("/kv/txn", BAD_TOKEN)
    async with cluster(etcds[0], user="me") as made:
        with pytest.raises(Refused):
            await made.write("/kv/txn", b"{}")
        assert len(etcds[0].asked("/kv/txn")) == 2


async def test_login_uses_the_endpoint_that_answers(etcds: list[FakeEtcd]) -> None:
    etcds[0].answer("/auth/authenticate", {"token": "one"})
    async with cluster(nobody(), etcds[0], user="me") as made:
        assert made.current.token == "one"


async def test_a_refused_login_is_reported_without_the_password(etcds: list[FakeEtcd]) -> None:
    words = "etcdserver: authentication failed, invalid user ID or password"
    etcds[0].answer("/auth/authenticate", Refusal(400, {"code": 3, "message": words}))
    made = Cluster([etcds[0].endpoint], tls=None, user="me", password="hunter2", timeout=2, pool=1)
    with pytest.raises(Unavailable, match=words) as caught:
        await made.open()
    await made.close()
    assert "hunter2" not in str(caught.value)


async def test_closing_waits_for_what_is_under_way(etcds: list[FakeEtcd]) -> None:
    etcds[0].answer("/kv/txn", HANG)
    async with cluster(etcds[0], timeout=60) as made:
        call = asyncio.create_task(made.write("/kv/txn", b"{}"))
        await etcds[0].until_called()
        closing = asyncio.create_task(made.close())
        await made.closing.wait()
        with pytest.raises(Unavailable, match="closed"):
            await made.write("/kv/txn", b"{}")
        assert not closing.done()
        etcds[0].answer("/kv/txn", header(3))
        etcds[0].release()
        with pytest.raises(Unavailable):  # the fake drops the call
            await call
        await asyncio.wait_for(closing, 60)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Refusal(429, {"code": 8, "message": "etcdserver: mvcc: database space exceeded"}), Unavailable, "defragment"),
        (Refusal(400, {"code": 3, "message": "etcdserver: request is too large"}), TooLarge, "--max-request-bytes"),
        (Refusal(429, {"code": 8, "message": "grpc: received message larger than max (3 vs. 2)"}), TooLarge, "--max-request-bytes"),
        (Refusal(403, {"code": 7, "message": "etcdserver: permission denied"}), Unavailable, "grant"),
        (Refusal(400, {"code": 3, "message": "etcdserver: user name is empty"}), Unavailable, "a user and a password"),
        (Refusal(500, {"code": 15, "message": "etcdserver: corrupt cluster"}), Corrupt, "restore"),
        (Refusal(404, b"404 page not found"), Unavailable, "--enable-grpc-gateway"),
        (Refusal(400, {"error": "etcdserver: too many requests", "code": 8}), Unavailable, "try again later"),
    ],
)
async def test_errors_tell_what_to_do(etcds: list[FakeEtcd], answer: Refusal, error: type[Exception], words: str) -> None:
    etcd = etcds[0]
    etcd.answer("/kv/range", header(5))
    etcd.answer("/kv/txn", answer)
    store = EtcdStore([etcd.endpoint], keep_history=0)
    await store.start()
    etcd.calls.clear()
    try:
        with pytest.raises(error, match=words):
            await store.commit([Put("/a", b"")])
        assert len(etcd.asked("/kv/txn")) == 1
    finally:
        await store.close()
