from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Compacted
from storage.collection import Change, Collection


@dataclass(frozen=True)
class Item:
    key: str
    labels: str
    revision: int


def decode(key: str, value: bytes, revision: int) -> Item:
    if value == b"bad":
        raise ValueError("bad")
    return Item(key, value.decode(), revision)


def make(history: int = 100) -> Collection[Item]:
    indexers = {"label": lambda item: item.labels, "size": lambda item: [len(item.labels)], "key": lambda item: [item.key, item.key]}
    return Collection("/a/", decode, indexers, history=history)


def put(collection: Collection[Item], key: str, value: bytes, revision: int) -> None:
    collection.put(key, value, revision)
    collection.advance(revision)


KEYS = st.sampled_from([f"/a/{space}/{n}" for space in "xy" for n in range(4)])
LABELS = st.text("pqr", max_size=3)


@given(st.lists(st.tuples(KEYS, LABELS | st.none())))
def test_indexes_and_ranges_are_what_a_scan_finds(steps: list[tuple[str, str | None]]) -> None:
    collection = make()
    model: dict[str, Item] = {}
    values: dict[str, bytes] = {}
    for revision, (key, labels) in enumerate(steps, 1):
        if labels is not None:
            values[key] = labels.encode()
            model[key] = Item(key, labels, revision)
            collection.put(key, values[key], revision)
        elif key in model:
            collection.delete(key, values[key], revision)
            del model[key]
        collection.advance(revision)
    items = [model[key] for key in sorted(model)]
    assert (len(collection), collection.range(), collection.revision) == (len(items), items, len(steps))
    for label in "pqr":
        found = [item for item in items if label in item.labels]
        assert collection.index("label", label) == found
        assert collection.count("label", label) == len(found)
        assert collection.index("label", label, "/a/y/", start="/a/y/2") == [item for item in found if item.key >= "/a/y/2"]
    for size in range(4):
        assert collection.index("size", size) == [item for item in items if len(item.labels) == size]
    for key in model:
        assert collection.get(key) is collection.index("key", key)[0]
        assert len(collection.index("key", key)) == 1
    assert collection.range("/a/x/") == [item for item in items if item.key.startswith("/a/x/")]
    assert collection.range("/b") == []
    buckets = {value for item in items for value in item.labels}
    # The index keeps nothing of values that no item has any more.
    assert collection._contents._indexes["label"]._items.keys() == buckets


@given(st.lists(st.tuples(KEYS, LABELS | st.none())))
def test_changes_lead_from_state_to_state(steps: list[tuple[str, str | None]]) -> None:
    collection = make()
    subscription = collection.subscribe(0)
    for revision, (key, labels) in enumerate(steps, 1):
        if labels is not None:
            collection.put(key, labels.encode(), revision)
        elif (last := collection.get(key)) is not None:
            collection.delete(key, last.labels.encode(), revision)
        collection.advance(revision)
    state: dict[str, Item] = {}
    for change in subscription.take():
        assert change.previous is state.get(change.item.key)
        assert change.item.revision == change.revision
        if change.type == "put":
            state[change.item.key] = change.item
        else:
            del state[change.item.key]
    assert [state[key] for key in sorted(state)] == collection.range()


def test_a_deletion_has_its_own_revision_and_the_last_state() -> None:
    collection = make()
    put(collection, "/a/1", b"p", 3)
    subscription = collection.subscribe(3)
    collection.delete("/a/1", b"p", 5)
    collection.advance(5)
    assert subscription.take() == [Change("delete", Item("/a/1", "p", 5), Item("/a/1", "p", 3), 5)]
    assert collection.get("/a/1") is None
    assert collection.index("label", "p") == []


def test_what_cannot_be_decoded_leaves_the_last_known_state(caplog: pytest.LogCaptureFixture) -> None:
    collection = make()
    put(collection, "/a/1", b"p", 1)
    subscription = collection.subscribe(1)
    put(collection, "/a/1", b"bad", 2)
    put(collection, "/a/2", b"bad", 3)
    assert collection.range() == [Item("/a/1", "p", 1)]
    assert subscription.take() == []
    assert "/a/2" in caplog.text
    collection.delete("/a/2", b"bad", 4)
    collection.delete("/a/1", b"bad", 5)
    collection.advance(5)
    assert subscription.take() == [Change("delete", Item("/a/1", "p", 1), Item("/a/1", "p", 1), 5)]
    assert len(collection) == 0


def test_an_indexer_that_fails_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def index(item: Item) -> list[int]:
        return [1 // len(item.labels)]

    collection = Collection("/a/", decode, {"fails": index})
    put(collection, "/a/1", b"p", 1)
    put(collection, "/a/1", b"", 2)
    assert collection.range() == collection.index("fails", 1) == [Item("/a/1", "p", 1)]
    assert "ZeroDivisionError" in caplog.text


def test_loading_does_not_hide_errors() -> None:
    with pytest.raises(ValueError, match="bad"):
        make().load("/a/1", b"bad", 1)


def test_another_state_is_not_seen_before_it_is_whole() -> None:
    collection = make()
    put(collection, "/a/1", b"p", 1)
    subscription = collection.subscribe(1)
    collection.clear()
    collection.load("/a/2", b"q", 5)
    assert (collection.range(), collection.index("label", "q")) == ([Item("/a/1", "p", 1)], [])
    collection.reset(7)
    assert (collection.range(), collection.index("label", "p")) == ([Item("/a/2", "q", 5)], [])
    assert (collection.revision, collection.floor) == (7, 7)
    with pytest.raises(Compacted):
        subscription.take()


def test_an_unknown_index_is_an_error() -> None:
    with pytest.raises(KeyError):
        make().index("none", 1)
    with pytest.raises(KeyError):
        make().count("none", 1)


def test_pages() -> None:
    collection = make()
    for n in range(5):
        put(collection, f"/a/x/{n}", b"", n + 1)
    put(collection, "/a/y/0", b"", 9)
    assert [item.key for item in collection.range("/a/x/", start="/a/x/2", limit=2)] == ["/a/x/2", "/a/x/3"]
    assert [item.key for item in collection.range("/a/x/", start="/a/x/2\0")] == ["/a/x/3", "/a/x/4"]
