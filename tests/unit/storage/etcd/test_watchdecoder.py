"""Turn etcd's messages into events: complete revisions, in order, once, however messages and
connections cut them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Compacted, Event, Progress
from storage.etcd.codec import Keyspace
from storage.etcd.errors import Broken, Refused
from storage.etcd.watchdecoder import WatchDecoder
from tests.unit.storage.etcd.fakeetcd import created, event, events, progress


def fresh(after: int = 1) -> WatchDecoder:
    return WatchDecoder(Keyspace(b""), after)


def put(key: str, revision: int) -> Event:
    return Event("put", key, b"v", revision, None)


def test_a_batch_is_complete() -> None:
    decoder = fresh(4)
    assert decoder.created(created(99)) == 99
    assert decoder.complete == 4
    # The header is ahead of events that are still to come.
    assert decoder.feed(events(event("a", b"v", 5), event("b", b"v", 5), event("a", b"v", 6), revision=99)) == [
        put("a", 5),
        put("b", 5),
        put("a", 6),
        Progress(6),
    ]
    assert decoder.complete == 6
    assert decoder.feed(progress(9)) == [Progress(9)]
    assert decoder.feed(progress(8)) == [Progress(9)]  # another member, a little behind


def test_a_fragment_holds_back_its_last_revision() -> None:
    decoder = fresh(4)
    assert decoder.feed(events(event("a", b"v", 5), event("a", b"v", 6), fragment=True)) == [put("a", 5)]
    assert decoder.complete == 5
    assert decoder.feed(events(event("b", b"v", 6), fragment=True)) == []
    assert decoder.complete == 5
    assert decoder.feed(progress(6)) == []
    assert decoder.feed(events(event("c", b"v", 6))) == [put("a", 6), put("b", 6), put("c", 6), Progress(6)]


def test_what_was_delivered_before_is_left_out() -> None:
    """Leave out an event also when its previous value is compacted by now."""
    decoder = fresh(5)
    assert decoder.feed(events(event("a", b"v", 5, lost=True), event("b", b"v", 6))) == [put("b", 6), Progress(6)]


@pytest.mark.parametrize("lost", [event("a", b"v", 7, lost=True), event("a", None, 7, lost=True)])
def test_a_lost_previous_value_is_read_again(lost: dict[str, Any]) -> None:
    decoder = fresh(5)
    with pytest.raises(Broken):
        decoder.feed(events(event("b", b"v", 6), lost))
    assert decoder.complete == 5


def test_compaction_is_reported() -> None:
    with pytest.raises(Compacted) as caught:
        fresh(3).feed({"result": {"header": {}, "canceled": True, "compact_revision": "8"}})
    assert (caught.value.revision, caught.value.oldest) == (3, 8)


@pytest.mark.parametrize(
    ("message", "repeatable", "stale"),
    [
        ({"result": {"header": {}, "created": True, "canceled": True, "cancel_reason": "etcdserver: permission denied"}}, False, False),
        ({"result": {"header": {}, "canceled": True, "cancel_reason": "etcdserver: invalid auth token"}}, True, True),
        ({"result": {"header": {}, "canceled": True}}, True, False),
        ({"error": {"grpc_code": 14, "http_code": 503, "message": "transport is closing"}}, True, False),
        ({"error": {"code": 14, "message": "etcdserver: no leader"}}, True, False),
        ({"code": 16, "message": "etcdserver: invalid auth token"}, False, True),
    ],
)
def test_other_ends(message: dict[str, Any], repeatable: bool, stale: bool) -> None:
    for method in (fresh().feed, fresh().created):
        with pytest.raises(Refused) as caught:
            method(message)
        assert (caught.value.repeatable, caught.value.stale_token) == (repeatable, stale)


def test_a_watch_begins_with_its_creation() -> None:
    with pytest.raises(Broken):
        fresh().created(progress(3))


@given(
    sizes=st.lists(st.integers(1, 4), max_size=6),
    cuts=st.lists(st.integers(1, 5), max_size=20),
    losses=st.lists(st.integers(1, 4), max_size=4),
)
def test_any_cutting_gives_the_same(sizes: list[int], cuts: list[int], losses: list[int]) -> None:
    """Cut the same history in any way. `sizes` are the events of each revision, `cuts` the events
    of each message, and `losses` the messages until each connection is lost."""
    history = [event(f"k{n}", b"v", revision) for revision, size in enumerate(sizes, 2) for n in range(size)]
    wanted = [put(f"k{n}", revision) for revision, size in enumerate(sizes, 2) for n in range(size)]
    got: list[Event] = []
    complete = 1
    for lost_after in [*losses, 1000]:
        decoder = fresh(complete)
        # etcd is asked for events from the last complete revision on.
        rest = [each for each in history if int(each["kv"]["mod_revision"]) >= complete]
        for _ in range(lost_after):
            size = cuts.pop() if cuts else len(rest)
            part, rest = rest[:size], rest[size:]
            if not part:
                break
            cut = bool(rest) and rest[0]["kv"]["mod_revision"] == part[-1]["kv"]["mod_revision"]
            for item in decoder.feed(events(*part, fragment=cut)):
                if isinstance(item, Event):
                    got.append(item)
                else:
                    assert got == [each for each in wanted if each.revision <= item.revision]
        complete = decoder.complete
    assert got == wanted
