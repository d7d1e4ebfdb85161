"""Check that the index loses nothing that a scan finds, whatever the selector."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apiserver.registry.generic import labels
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.selectors import LabelSelector
from storage.collection import Collection

TEXTS = ("", "a=x", "a==y", "a=", "a!=x", "a", "!a", "a in (x)", "a in (x,y)", "a notin (x)", "a=x,b=y", "a=x,b!=y", "b=y,a", "a=x,a=y")
LABELS = st.dictionaries(st.sampled_from("ab"), st.sampled_from(["", "x", "y"]))


def collection_of(found: list[dict[str, str]]) -> Collection[Entry]:
    def decode(key: str, value: bytes, revision: int) -> Entry:
        return Entry(key, key.split("/")[0], key, revision, value, found[int(value)], {})

    made = Collection("", decode, {labels.INDEX: labels.indexer})
    for number in range(len(found)):
        made.put(f"{'mn'[number % 2]}/{number:02}", b"%d" % number, number + 1)
    made.advance(len(found))
    return made


@given(st.lists(LABELS, max_size=20), st.sampled_from(TEXTS), st.sampled_from(["", "n/"]), st.sampled_from(["", "n/05"]))
def test_the_index_finds_the_same_entries_as_a_scan(found: list[dict[str, str]], text: str, prefix: str, start: str) -> None:
    collection, selector = collection_of(found), LabelSelector.parse(text)
    scanned = [entry for entry in collection.range(prefix, start=start) if selector.matches(entry.labels)]
    candidates = labels.candidates_of(collection, selector, prefix, start=start)
    assert [entry for entry in candidates if selector.matches(entry.labels)] == scanned
    if labels.is_exact(selector):
        assert candidates == scanned


def test_one_equality_is_decided_by_the_index() -> None:
    assert [text for text in TEXTS if labels.is_exact(LabelSelector.parse(text))] == ["", "a=x", "a==y", "a=", "a in (x)"]


def test_looks_at_the_rarest_label_only() -> None:
    collection = collection_of([{"a": "x"}, {"a": "x", "b": "y"}, {"a": "x"}])
    assert [entry.labels for entry in labels.candidates_of(collection, LabelSelector.parse("a=x,b=y"), "")] == [{"a": "x", "b": "y"}]
    assert labels.candidates_of(collection, LabelSelector.parse("a=x,b=nowhere"), "") == []
