"""Cover EtcdStore's own part: pages of one state, revisions that are passed on, regular compaction.
The rest of the contract is tested on a real etcd (tests/integration)."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest

from storage.base import Compacted, Full, KeyValue, Put, RolledBack, TooLarge, Unavailable
from storage.etcd import EtcdStore
from storage.etcd.restoredetection import BUMPED, Fingerprint
from storage.etcd.store import _page_size
from storage.testing.harness import opened
from tests.unit.storage.etcd.fakeetcd import FakeEtcd, Refusal, Socket, b64, created, header, progress, running, until_idle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COMPACTED = Refusal(400, {"code": 11, "message": "etcdserver: mvcc: required revision has been compacted"})


@pytest.fixture
async def etcd() -> AsyncIterator[FakeEtcd]:
    async with running() as fake:
        fake.answer("/kv/range", header(5))
        yield fake


@pytest.fixture
async def store(etcd: FakeEtcd) -> AsyncIterator[EtcdStore]:
    made = EtcdStore([etcd.endpoint], prefix="/p", keep_history=0, progress_interval=1000)
    await made.start()
    etcd.calls.clear()
    yield made
    await made.close()


def page(*numbers: int, revision: int = 9, more: bool = False, size: int = 1) -> dict[str, Any]:
    """Return an answer with the keys /000, /001, ... and values of `size` bytes."""
    kvs = [{"key": b64(b"/p/%03d" % n), "value": b64(b"x" * size), "mod_revision": "3"} for n in numbers]
    return {**header(revision), "kvs": kvs, **({"more": True} if more else {})}


def reported(cluster: str, revision: int) -> dict[str, Any]:
    """Return an answer by an etcd of this cluster id."""
    return {"header": {"cluster_id": cluster, "raft_term": "1", "revision": str(revision)}}


def ranges(etcd: FakeEtcd) -> list[tuple[bytes, bytes, int, int]]:
    """Return what was requested: first key, end, limit, revision."""
    return [
        (b64decode(ask["key"]), b64decode(ask["range_end"]), int(ask["limit"]), int(ask["revision"])) for ask in etcd.asked("/kv/range")
    ]


async def test_a_long_list_is_pages_of_one_state(etcd: FakeEtcd, store: EtcdStore) -> None:
    etcd.answer("/kv/range", page(0, 1, more=True, size=4096), page(2, 3, revision=11, more=True, size=1 << 20), page(4, revision=12))
    whole = await store.list("/")
    assert [item.key for item in whole.items] == ["/000", "/001", "/002", "/003", "/004"]
    assert (whole.revision, whole.more) == (9, False)
    assert ranges(etcd) == [
        (b"/p/", b"/p0", 100, 0),
        (b"/p/001\0", b"/p0", 1000, 9),  # as many keys as make 4 MiB, at most 1,000
        (b"/p/003\0", b"/p0", 10, 9),
    ]


async def test_a_limit_is_kept_over_pages(etcd: FakeEtcd, store: EtcdStore) -> None:
    etcd.answer("/kv/range", page(*range(100), more=True), page(*range(100, 700), more=True))
    part = await store.list("/", limit=700, at=7)
    assert (len(part.items), part.revision, part.more) == (700, 7, True)
    assert [(limit, revision) for _, _, limit, revision in ranges(etcd)] == [(100, 7), (600, 7)]


async def test_a_list_that_compaction_overtakes_begins_again(etcd: FakeEtcd, store: EtcdStore) -> None:
    etcd.watches.append(compacted_at_10)
    etcd.answer("/kv/range", page(0, more=True), COMPACTED, page(0, revision=12, more=True), page(1, revision=13))
    whole = await store.list("/")
    assert ([item.key for item in whole.items], whole.revision) == (["/000", "/001"], 12)


async def test_a_list_of_the_past_does_not(etcd: FakeEtcd, store: EtcdStore) -> None:
    etcd.watches.append(compacted_at_10)
    etcd.answer("/kv/range", page(0, more=True), COMPACTED, page(0))
    with pytest.raises(Compacted) as caught:
        await store.list("/", at=7)
    assert (caught.value.revision, caught.value.oldest) == (7, 10)
    assert len(ranges(etcd)) == 2


async def compacted_at_10(socket: Socket) -> None:
    await socket.next()
    await socket.send(created(12), {"result": {"header": {}, "canceled": True, "compact_revision": "10"}})


@pytest.mark.parametrize(("sizes", "wanted"), [([0], 1_000), ([1 << 22], 10), ([10_000, 30_000], (4 << 20) // 20_000)])
def test_pages_are_about_as_many_bytes(sizes: list[int], wanted: int) -> None:
    assert _page_size([KeyValue("/a", b"x" * size, 1) for size in sizes]) == wanted


async def test_a_commit_lets_watches_ask(etcd: FakeEtcd, store: EtcdStore) -> None:
    """Check that a commit makes watches ask for progress: those of other prefixes get no event for
    it."""
    asked = asyncio.Event()

    async def script(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(5), progress(5))
        while await socket.next() is not None:
            asked.set()
            await socket.send(progress(6))

    etcd.watches.append(script)
    etcd.answer("/kv/txn", {**header(6), "succeeded": True})
    seen: list[int] = []

    async def follow() -> None:
        async for item in store.watch("/other/", 5):
            seen.append(item.revision)
            if item.revision == 6:
                return

    task = asyncio.create_task(follow())
    async with asyncio.timeout(60):
        while not seen:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.01)
        # The initial requests for progress are over. Without a cause there is none for 1000 s.
        await until_idle("etcd-watch-progress")
        asked.clear()
        assert await store.commit([Put("/a", b"")]) == 6
        await task
        await asked.wait()


@pytest.mark.parametrize(("value", "revision", "stored"), [(b"new", 9, True), (b"other", 9, False), (b"new", 3, False)])
async def test_a_write_that_etcd_stored_though_it_said_it_is_full_succeeds(
    etcd: FakeEtcd, store: EtcdStore, value: bytes, revision: int, stored: bool
) -> None:
    etcd.answer("/kv/txn", Refusal(429, {"code": 8, "message": "etcdserver: mvcc: database space exceeded"}))
    there = [{"key": b64(b"/p/a"), "value": b64(value), "mod_revision": str(revision)}]
    etcd.answer("/kv/range", {**header(10), "kvs": there})
    if stored:
        assert await store.commit([Put("/a", b"new", 0)]) == revision
    else:
        with pytest.raises(Full):
            await store.commit([Put("/a", b"new", 0)])
    assert store.usage().full


async def test_nothing_to_commit_is_a_read(etcd: FakeEtcd, store: EtcdStore) -> None:
    assert await store.commit([]) == 5
    assert etcd.asked("/kv/txn") == []


async def test_a_commit_that_is_too_large_is_not_sent(etcd: FakeEtcd, store: EtcdStore) -> None:
    with pytest.raises(TooLarge):
        await store.commit([Put("/a", b"x" * 1_600_000)])
    with pytest.raises(ValueError, match="128"):
        await store.commit([Put(f"/{n}", b"") for n in range(129)])
    assert etcd.calls == []


async def test_what_was_the_latest_one_period_ago_is_compacted(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", header(5), *[header(n) for n in range(100, 1000)])
    etcd.answer("/kv/compaction", Refusal(503, {"code": 14, "message": "etcdserver: no leader"}), header(1))
    store = EtcdStore([etcd.endpoint], keep_history=0.02)
    await store.start()
    async with asyncio.timeout(60):
        while len(etcd.asked("/kv/compaction")) < 4:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.01)
    await store.close()
    revisions = [int(ask["revision"]) for ask in etcd.asked("/kv/compaction")]
    # The first call fails, and is retried at the next endpoint (there is only one) before the
    # period is over.
    assert revisions[:3] == [5, 5, 100]


def record(cluster: str, revision: int) -> dict[str, Any]:
    """Return an answer with the record's key."""
    return {"kvs": [{"key": b64(b"/p\0"), "value": b64(Fingerprint(cluster, 1, 0).encode()), "mod_revision": str(revision)}]}


@pytest.mark.parametrize(("cluster", "revision"), [("1", 50_000), ("2", 5 + BUMPED)])
async def test_the_record_is_brought_up_to_date(etcd: FakeEtcd, cluster: str, revision: int) -> None:
    """Update the record at the start, and then regularly. A restored etcd whose revisions are all
    new is as good as the one before."""
    etcd.answer("/kv/range", reported(cluster, revision) | record("1", 5))
    etcd.answer("/kv/txn", header(revision))
    store = EtcdStore([etcd.endpoint], prefix="/p", keep_history=0.02)
    etcd.answer("/kv/compaction", header(1))
    await store.start()
    async with asyncio.timeout(60):
        while len(etcd.asked("/kv/txn")) < 3:  # noqa: ASYNC110 - a list has no event
            await asyncio.sleep(0.01)
    await store.close()
    for ask in etcd.asked("/kv/txn"):
        assert (b64decode(ask["compare"][0]["key"]), ask["compare"][0]["mod_revision"]) == (b"/p\0", "5")
        assert Fingerprint.decode(b64decode(ask["success"][0]["request_put"]["value"]), 0) == Fingerprint(cluster, 1, 0)


async def test_a_record_that_is_good_is_left_alone(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", reported("1", 50) | record("1", 5))
    async with opened(EtcdStore([etcd.endpoint], prefix="/p", keep_history=0)):
        assert etcd.asked("/kv/txn") == []


async def test_an_older_state_is_not_served(etcd: FakeEtcd) -> None:
    etcd.answer("/kv/range", reported("2", 7) | record("1", 5))
    store = EtcdStore([etcd.endpoint], prefix="/p", keep_history=0)
    with pytest.raises(RolledBack, match="--bump-revision"):
        await store.start()
    assert etcd.asked("/kv/txn") == []  # nothing is written to it


async def test_an_older_state_is_noticed_by_the_next_call(etcd: FakeEtcd, store: EtcdStore) -> None:
    etcd.answer("/kv/txn", header(9) | {"succeeded": True}, reported("2", 8) | {"succeeded": True})
    assert await store.commit([Put("/a", b"")]) == 9
    with pytest.raises(RolledBack):
        await store.commit([Put("/a", b"")])
    etcd.answer("/kv/range", header(8))
    for call in (store.current_revision(), store.get("/a"), store.list("/")):
        with pytest.raises(RolledBack, match="revision 8 of cluster 1, but was at 9"):
            await call


async def test_a_store_is_started_once(etcd: FakeEtcd, store: EtcdStore) -> None:
    with pytest.raises(Unavailable, match="make a new one"):
        await store.start()
    await store.close()
    with pytest.raises(Unavailable, match="make a new one"):
        await store.start()


def test_no_endpoints() -> None:
    with pytest.raises(ValueError, match="at least one endpoint"):
        EtcdStore([])
