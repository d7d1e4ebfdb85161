"""Check the gateway's JSON: nothing is lost on the way there and back, and prefixes are exact
ranges of bytes."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.base import Check, Conflict, Corrupt, Delete, Event, KeyValue, Put, TooLarge
from storage.etcd import codec
from storage.etcd.codec import Keyspace
from tests.unit.storage.etcd.fakeetcd import b64, event

if TYPE_CHECKING:
    from storage.base import Operation

LAST = 2**63 - 1
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
KEY = st.text(st.sampled_from("a/b\x7f\x80ÿ\ud7ff\ue000\U0010ffff"), min_size=1, max_size=4)


def inside(key: bytes, first: bytes, end: bytes) -> bool:
    """Return whether etcd takes a key for one of the range."""
    return key >= first and (end == b"\0" or key < end)


@given(TEXT, TEXT, KEY)
def test_a_span_is_what_begins_with_the_prefix(own: str, prefix: str, key: str) -> None:
    space = Keyspace(own.encode())
    first, end = space.span(prefix)
    assert inside(space.key(key), first, end) == key.startswith(prefix)
    assert inside(space.key(prefix + key), first, end)
    assert not inside(space.record, first, end)


@given(TEXT, TEXT, KEY)
def test_a_span_begins_where_it_shall(prefix: str, start: str, key: str) -> None:
    first, end = Keyspace(b"/p").span(prefix, start)
    wanted = key.startswith(prefix) and key.encode() >= start.encode()
    assert inside(b"/p" + key.encode(), first, end) == wanted


@given(KEY)
def test_others_keys_are_outside(key: str) -> None:
    first, end = Keyspace(b"/p").span("")
    assert inside(key.encode(), first, end) == (key.startswith("/p") and key != "/p")


@given(TEXT, st.binary(), st.integers(1, 2**63 - 1))
def test_items_come_back(key: str, value: bytes, revision: int) -> None:
    space = Keyspace("/ü".encode())
    kv = {"key": b64(space.key(key)), "mod_revision": str(revision), "value": b64(value)}
    if not value:
        del kv["value"]  # as etcd does
    assert space.item(kv) == KeyValue(key, value, revision)


def test_keys_of_others_that_are_no_text_are_reported() -> None:
    with pytest.raises(Corrupt, match="prefix of its own"):
        Keyspace(b"").item({"key": b64(b"\xff"), "mod_revision": "1"})


def test_events() -> None:
    space = Keyspace(b"")
    assert space.event(event("a", b"", 3)) == Event("put", "a", b"", 3, None)
    assert space.event(event("a", b"2", 4, b"")) == Event("put", "a", b"2", 4, b"")
    assert space.event(event("a", None, 5, b"2")) == Event("delete", "a", b"2", 5, b"2")


@pytest.mark.parametrize("lost", [event("a", b"2", 4, lost=True), event("a", None, 5, lost=True)])
def test_a_previous_value_that_is_missing_is_noticed(lost: dict[str, object]) -> None:
    assert Keyspace(b"").event(lost) is None


def test_a_watch_asks_for_the_revision_it_has() -> None:
    request = orjson.loads(Keyspace(b"/p").watch("/a", 7))["create_request"]
    assert (b64decode(request["key"]), b64decode(request["range_end"])) == (b"/p/a", b"/p/b")
    assert (request["start_revision"], request["prev_kv"], request["fragment"]) == ("7", True, True)
    # 0 would mean "from now on".
    assert orjson.loads(Keyspace(b"").watch("", 0))["create_request"]["start_revision"] == "1"


@pytest.mark.parametrize(("value", "said"), [(-1, "0"), (0, "0"), (LAST, str(LAST)), (LAST + 1, str(LAST)), (10**40, str(LAST))])
def test_numbers_fit(value: int, said: str) -> None:
    assert codec.number(value) == said


def test_a_transaction() -> None:
    operations: list[Operation] = [Put("/a", b"\xff", 3), Check("/b", 0), Delete("/c", 4), Put("/d", b"")]
    request = orjson.loads(codec.txn(Keyspace(b"/p"), operations))
    assert [(b64decode(c["key"]), c["target"], c["result"], c["mod_revision"]) for c in request["compare"]] == [
        (b"/p/a", "MOD", "EQUAL", "3"),
        (b"/p/b", "MOD", "EQUAL", "0"),
        (b"/p/c", "MOD", "EQUAL", "4"),
    ]
    assert request["success"] == [
        {"request_put": {"key": b64(b"/p/a"), "value": b64(b"\xff")}},
        {"request_delete_range": {"key": b64(b"/p/c")}},
        {"request_put": {"key": b64(b"/p/d"), "value": ""}},
    ]
    assert [each["request_range"] for each in request["failure"]] == [{"key": c["key"], "keys_only": True} for c in request["compare"]]


def test_what_only_checks_reads_linearizably() -> None:
    """Check that a transaction of comparisons alone contains a linearizable read. Without one, the
    member answers from its own state."""
    request = orjson.loads(codec.txn(Keyspace(b""), [Check("/a", 1)]))
    assert request["failure"]
    assert "serializable" not in request["failure"][0]["request_range"]


def test_the_first_conflict_is_named() -> None:
    operations: list[Operation] = [Put("/new", b""), Put("/a", b"", 3), Check("/b", 0), Delete("/c", 4)]
    answer = {
        "responses": [
            {"response_range": {"kvs": [{"mod_revision": "3"}]}},
            {"response_range": {"kvs": [{"mod_revision": "9"}]}},
            {"response_range": {}},
        ]
    }
    found = codec.conflict(answer, operations)
    assert isinstance(found, Conflict)
    assert (found.key, found.expected, found.actual) == ("/b", 0, 9)


def test_an_answer_that_contradicts_itself_is_not_believed() -> None:
    with pytest.raises(Corrupt):
        codec.conflict({"responses": [{"response_range": {}}]}, [Check("/a", 0)])


def test_what_etcd_cannot_take_is_refused_before() -> None:
    codec.check_commit([Put(f"/{n}", b"") for n in range(128)], 128, 1000)
    with pytest.raises(TooLarge, match="--max-txn-ops"):
        codec.check_commit([Put(f"/{n}", b"") for n in range(129)], 128, 1000)
    with pytest.raises(TooLarge, match="--max-request-bytes"):
        codec.check_commit([Put("/a", b"x" * 600), Put("/b", b"x" * 600)], 128, 1000)
