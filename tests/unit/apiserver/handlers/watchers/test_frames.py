"""Cover frames: which event a selector sees of a change, and bytes that watchers share."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from apiserver.handlers.request.negotiation import Form
from apiserver.handlers.watchers import frames as module
from apiserver.handlers.watchers.frames import BatchCache, Frames, transition
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.selectors import LabelSelector, Selector
from storage.collection import Change
from tests.unit.apiserver.handlers.kinds import WIDGETS

if TYPE_CHECKING:
    import pytest

SELECTOR = Selector(LabelSelector.parse("on=yes"))


def entry(revision: int, on: str, name: str = "a") -> Entry:
    json = b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"resourceVersion":"%d","name":"a"}}' % revision
    return Entry(WIDGETS.key("ns", name), "ns", name, revision, json, {"on": on}, {})


@given(st.lists(st.sampled_from(["yes", "no", "gone"]), max_size=12))
def test_following_the_events_yields_the_selected_objects(states: list[str]) -> None:
    present: Entry | None = None
    known: dict[str, str] = {}
    for revision, state in enumerate(states, start=2):
        if state == "gone":
            if present is None:
                continue
            change = Change("delete", entry(revision, present.labels["on"]), present, revision)
            present = None
        else:
            current = entry(revision, state)
            change = Change("put", current, present, revision)
            present = current
        event = transition(change, SELECTOR)
        if event is not None:
            kind, item = event
            assert item.revision == revision
            assert b'"resourceVersion":"%d"' % revision in item.json
            assert (kind == b"ADDED") == (item.name not in known)
            if kind == b"DELETED":
                del known[item.name]
            else:
                known[item.name] = item.labels["on"]
        selected = {"a": "yes"} if present is not None and present.labels["on"] == "yes" else {}
        assert known == selected


def test_watchers_with_the_same_question_share_the_bytes() -> None:
    batch_cache = BatchCache()
    changes = [Change("put", entry(2, "yes"), None, 2), Change("put", entry(3, "no", "b"), None, 3)]
    one, other = (Frames(WIDGETS, Form(), WIDGETS.prefix, Selector(LabelSelector.parse("on=yes")), {}, batch_cache) for _ in range(2))
    assert one.changes(changes) is other.changes(changes)
    assert one.changes(changes).count(b"\n") == 1
    everything = Frames(WIDGETS, Form(), WIDGETS.prefix, Selector(), {}, batch_cache)
    assert everything.changes(changes).count(b"\n") == 2
    assert everything.changes(changes[1:]).count(b"\n") == 1
    elsewhere = Frames(WIDGETS, Form(), WIDGETS.key("other", ""), Selector(), {}, batch_cache)
    assert elsewhere.changes(changes) == b""
    chunked = Frames(WIDGETS, Form(), WIDGETS.prefix, Selector(), {}, batch_cache, chunked=True)
    frames = everything.changes(changes)
    assert chunked.changes(changes) == b"%x\r\n" % len(frames) + frames + b"\r\n"


def test_what_is_shared_is_bounded_by_bytes_and_is_not_kept_for_each_question() -> None:
    batch_cache = BatchCache(limit=1_000)
    watches = [Frames(WIDGETS, Form(), WIDGETS.prefix, Selector(LabelSelector.parse(f"no!={n}")), {}, batch_cache) for n in range(50)]
    for revision in range(2, 10):
        changes = [Change("put", entry(revision, "yes"), None, revision)]
        for watch in watches:
            assert len(watch.changes(changes)) > 100
            assert batch_cache.size <= 1_000
    held = [watch._batch.data for watch in watches if watch._batch is not None]
    assert 0 < sum(map(len, held)) == batch_cache.size
    # Requests that directly follow each other share their bytes.
    assert watches[-1].changes(changes) is watches[-1].changes(changes)


def test_a_batch_is_of_these_changes_only() -> None:
    # This cache is too small to keep anything.
    frames = Frames(WIDGETS, Form(), WIDGETS.prefix, Selector(), {}, BatchCache(limit=1))
    other = Frames(WIDGETS, Form(), WIDGETS.prefix, Selector(), {}, BatchCache())
    changes = [Change("put", entry(revision, "yes"), None, revision) for revision in range(2, 6)]
    for start in range(4):
        for end in range(start + 1, 5):
            assert frames.changes(changes[start:end]) == other.changes(changes[start:end])


def test_watches_that_share_bytes_pay_the_same_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(thread_time=lambda: now))
    batch_cache = BatchCache()
    watches = [Frames(WIDGETS, Form(), WIDGETS.prefix, Selector(), {}, batch_cache) for _ in range(4)]

    def encode(self: Frames, changes: object) -> bytes:
        nonlocal now
        now += 8.0
        return b"frames"

    monkeypatch.setattr(Frames, "_encode", encode)
    for revision in (2, 3):
        paid = []
        for watch in watches:
            before = now
            watch.changes([Change("put", entry(revision, "yes"), None, revision)])
            paid.append(now - before + watch.settle())
    assert paid == [2.0] * 4
    assert watches[0].settle() == 0.0
