"""Run watches across connections against scripts: they are complete and in order, and leave
connections and members that deliver nothing."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

import pytest

from storage.base import Compacted, Event, FutureRevision, Progress, Unavailable
from storage.etcd import EtcdStore
from tests.unit.storage.etcd.fakeetcd import FakeEtcd, Refusal, Socket, created, event, events, header, progress, running, until_idle

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

INTERVAL = 0.05
TIMEOUT = 0.3


@pytest.fixture
async def etcds() -> AsyncIterator[list[FakeEtcd]]:
    async with AsyncExitStack() as stack:
        made = [await stack.enter_async_context(running()) for _ in range(2)]
        for etcd in made:
            etcd.answer("/kv/range", header(5))
        yield made


@pytest.fixture
async def etcd(etcds: list[FakeEtcd]) -> FakeEtcd:
    return etcds[0]


async def started(*etcds: FakeEtcd, patience: float = 5, **options: Any) -> EtcdStore:
    store = EtcdStore(
        [etcd.endpoint for etcd in etcds],
        timeout=TIMEOUT,
        progress_interval=INTERVAL,
        watch_patience=patience,
        keep_history=0,
        **options,
    )
    await store.start()
    return store


async def watch(
    store: EtcdStore, after: int, upto: int, *, items: list[Event | Progress] | None = None, begun: asyncio.Event | None = None
) -> list[Event]:
    """Return the events until progress to `upto`. Everything is also appended to `items`, and the
    first item sets `begun`."""
    collected: list[Event] = []
    stream: AsyncGenerator[Event | Progress, None] = store.watch("/", after)  # type: ignore[assignment] # it is one
    async with asyncio.timeout(60), aclosing(stream):
        async for item in stream:
            if items is not None:
                items.append(item)
            if begun is not None:
                begun.set()
            if isinstance(item, Event):
                collected.append(item)
            elif item.revision >= upto:
                break
    return collected


def put(key: str, revision: int) -> Event:
    return Event("put", key, b"v", revision, None)


def starts(*etcds: FakeEtcd) -> list[str]:
    """Return where each connection's watch was asked to start."""
    return [ask["create_request"]["start_revision"] for etcd in etcds for ask in etcd.asked("/watch") if "create_request" in ask]


async def test_a_watch_resumes_after_the_last_complete_revision(etcd: FakeEtcd) -> None:
    async def first(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(9), events(event("/a", b"v", 6), event("/a", b"v", 7), event("/b", b"v", 8), fragment=True))

    async def second(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(9), events(event("/a", b"v", 7), event("/b", b"v", 8), event("/c", b"v", 8)))
        await socket.answer_progress(9)

    etcd.watches.extend([first, second])
    store = await started(etcd)
    assert await watch(store, 5, 9) == [put("/a", 6), put("/a", 7), put("/b", 8), put("/c", 8)]
    assert starts(etcd) == ["5", "7"]
    await store.close()


async def test_headers_tell_nothing(etcd: FakeEtcd) -> None:
    """Check that neither the header of "created" nor a batch's counts as progress: events at their
    revisions may still come."""

    async def first(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(100))

    async def second(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(100), events(event("/a", b"v", 6), revision=100))

    async def third(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(100), events(event("/b", b"v", 7)))
        await socket.hang()

    etcd.watches.extend([first, second, third])
    store = await started(etcd)
    assert await watch(store, 5, 7) == [put("/a", 6), put("/b", 7)]
    assert starts(etcd) == ["5", "5", "6"]
    await store.close()


async def test_a_watch_requests_its_prefix_only(etcd: FakeEtcd) -> None:
    async def script(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(9), events(event("/p/a", b"v", 6)))
        await socket.hang()

    etcd.watches.append(script)
    store = await started(etcd, prefix="/p")
    assert await watch(store, 5, 6) == [Event("put", "/a", b"v", 6, None)]
    request = etcd.asked("/watch")[0]["create_request"]
    assert (b64decode(request["key"]), b64decode(request["range_end"])) == (b"/p/", b"/p0")
    await store.close()


async def test_progress_is_asked_for_until_it_is_reported(etcd: FakeEtcd) -> None:
    """Ask for progress repeatedly, because etcd says nothing while the watch is behind."""

    async def script(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(5))
        for _ in range(3):
            assert await socket.next() == {"progress_request": {}}
        await socket.send(progress(5))
        await socket.hang()

    etcd.watches.append(script)
    store = await started(etcd)
    assert await watch(store, 5, 5) == []
    await store.close()


async def test_progress_is_requested_for_a_revision_that_a_caller_waits_for(etcd: FakeEtcd) -> None:
    """Ask for progress to a revision of another prefix, which comes by no event. A waiting caller
    must not wait for the interval."""
    current = 5

    async def script(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(5))
        while await socket.next() is not None:
            await socket.send(progress(current))

    etcd.watches.append(script)
    store = EtcdStore([etcd.endpoint], timeout=5, progress_interval=1000, keep_history=0)
    await store.start()
    items: list[Event | Progress] = []
    begun = asyncio.Event()
    task = asyncio.create_task(watch(store, 5, 9, items=items, begun=begun))
    await asyncio.wait_for(begun.wait(), 60)
    # The initial requests for progress are over. Without a cause there is none for 1000 s.
    await until_idle("etcd-watch-progress")
    etcd.answer("/kv/range", header(9))
    current = 9
    assert await store.current_revision() == 9
    await task
    assert items == [Progress(5), Progress(9)]
    await store.close()


async def test_a_silent_connection_is_given_up(etcd: FakeEtcd) -> None:
    async def silent(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(5), progress(5))
        await socket.hang()

    async def well(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(5), events(event("/a", b"v", 6)))
        await socket.hang()

    etcd.watches.extend([silent, well])
    store = await started(etcd)
    assert await watch(store, 5, 6) == [put("/a", 6)]
    await store.close()


async def test_a_member_that_is_cut_off_from_the_others_is_left(etcds: list[FakeEtcd]) -> None:
    """Leave a member that answers without end that nothing has changed."""

    async def stale(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(5))
        await socket.answer_progress(5)

    async def fresh(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(7), events(event("/a", b"v", 6)))
        await socket.answer_progress(7)

    etcds[0].watches.append(stale)
    etcds[1].watches.append(fresh)
    etcds[0].answer("/kv/range", header(5), header(7))
    store = await started(*etcds)
    begun = asyncio.Event()
    task = asyncio.create_task(watch(store, 5, 7, begun=begun))
    await asyncio.wait_for(begun.wait(), 60)
    assert await store.current_revision() == 7
    assert await task == [put("/a", 6)]
    assert starts(*etcds) == ["5", "5"]
    await store.close()


@pytest.mark.parametrize(
    "ending",
    [
        {"error": {"grpc_code": 14, "message": "transport is closing"}},
        {"result": {"header": {}, "canceled": True}},
        {"result": {"header": {}, "events": [event("/a", b"w", 6, lost=True)]}},
    ],
)
async def test_endings_that_a_new_connection_heals(etcd: FakeEtcd, ending: dict[str, Any]) -> None:
    async def first(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(6), ending)
        await socket.hang()

    async def second(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(6), events(event("/a", b"w", 6, b"v")))
        await socket.hang()

    etcd.watches.extend([first, second])
    store = await started(etcd)
    assert await watch(store, 5, 6) == [Event("put", "/a", b"w", 6, b"v")]
    await store.close()


async def test_compaction_ends_it(etcd: FakeEtcd) -> None:
    async def script(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(9), {"result": {"header": {}, "canceled": True, "compact_revision": "7"}})

    etcd.watches.append(script)
    store = await started(etcd)
    with pytest.raises(Compacted) as caught:
        await watch(store, 5, 9)
    assert (caught.value.revision, caught.value.oldest) == (5, 7)
    await store.close()


async def test_the_oldest_revision_is_found_by_a_watch(etcd: FakeEtcd) -> None:
    """Find the oldest revision by a watch, because an error of etcd does not contain it."""

    async def script(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(9), {"result": {"header": {}, "canceled": True, "compact_revision": "7"}})

    etcd.watches.append(script)
    store = await started(etcd)
    etcd.answer("/kv/range", Refusal(400, {"code": 11, "message": "etcdserver: mvcc: required revision has been compacted"}))
    with pytest.raises(Compacted) as caught:
        await store.list("/", at=3)
    assert (caught.value.revision, caught.value.oldest) == (3, 7)
    await store.close()


async def test_the_future_is_reported_by_all_members_together(etcd: FakeEtcd) -> None:
    async def behind(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(5))
        await socket.answer_progress(7)

    etcd.watches.extend([behind, behind])
    etcd.answer("/kv/range", header(5), header(7))
    store = await started(etcd)
    assert await watch(store, 7, 7) == []  # this member has not seen the revision yet
    with pytest.raises(FutureRevision) as caught:
        await watch(store, 8, 8)
    assert (caught.value.revision, caught.value.current) == (8, 7)
    await store.close()


async def test_a_token_that_is_refused_is_renewed(etcd: FakeEtcd) -> None:
    async def refuse(socket: Socket) -> None:
        await socket.next()
        reason = "etcdserver: invalid auth token"
        await socket.send({"result": {"header": {}, "watch_id": "-1", "created": True, "canceled": True, "cancel_reason": reason}})

    async def well(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(6), events(event("/a", b"v", 6)))
        await socket.hang()

    etcd.answer("/auth/authenticate", {"token": "one"}, {"token": "two"})
    etcd.watches.extend([refuse, well])
    store = await started(etcd, user="me", password="secret")
    assert await watch(store, 5, 6) == [put("/a", 6)]
    assert len(etcd.asked("/auth/authenticate")) == 2
    assert [str(token).replace(" ", "") for token in etcd.tokens if "Bearer" in str(token)] == ["Bearer,one", "Bearer,two"]
    await store.close()


async def test_without_permission_it_ends(etcd: FakeEtcd) -> None:
    async def script(socket: Socket) -> None:
        await socket.next()
        await socket.send({"result": {"header": {}, "created": True, "canceled": True, "cancel_reason": "etcdserver: permission denied"}})

    etcd.watches.append(script)
    store = await started(etcd)
    with pytest.raises(Unavailable, match=r"permission denied.*grant"):
        await watch(store, 5, 6)
    assert len(starts(etcd)) == 1
    await store.close()


async def test_patience_ends(etcd: FakeEtcd) -> None:
    store = await started(etcd, patience=0.2)
    with pytest.raises(Unavailable, match="check that it runs"):
        await watch(store, 5, 6)  # every connection is closed at once
    await store.close()


async def test_a_slow_reader_loses_neither_patience_nor_events(etcd: FakeEtcd) -> None:
    async def first(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(6), events(event("/a", b"v", 6)))

    async def second(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(7), events(event("/b", b"v", 7)))
        await socket.hang()

    etcd.watches.extend([first, second])
    store = await started(etcd, patience=0.1)
    stream: AsyncGenerator[Event | Progress, None] = store.watch("/", 5)  # type: ignore[assignment] # it is one
    async with asyncio.timeout(60), aclosing(stream):
        assert await anext(stream) == put("/a", 6)
        await asyncio.sleep(0.2)  # the reader takes longer than patience allows
        assert [await anext(stream) for _ in range(3)] == [Progress(6), put("/b", 7), Progress(7)]
    await store.close()


async def test_closing_ends_a_watch_that_waits(etcd: FakeEtcd) -> None:
    async def script(socket: Socket) -> None:
        await socket.next()
        await socket.send(created(5), progress(5))
        await socket.answer_progress(5)

    etcd.watches.append(script)
    store = await started(etcd)
    begun = asyncio.Event()
    task = asyncio.create_task(watch(store, 5, 9, begun=begun))
    await asyncio.wait_for(begun.wait(), 60)
    await store.close()
    with pytest.raises(Unavailable, match="closed"):
        await task
    with pytest.raises(Unavailable, match="closed"):
        await watch(store, 5, 9)
