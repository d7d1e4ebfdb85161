"""Requests to, and answers from, etcd's JSON gateway. Pure; replaces etcd3-py's models, which lose b"" and cost seconds per list.

int64 are JSON strings, bytes are base64, and whatever has its type's zero value is left out.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from storage.base import Check, Conflict, Corrupt, Delete, Event, KeyValue, Put, TooLarge
from storage.keys import check_operations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storage.base import Operation

__all__ = [
    "MAX_OPERATIONS",
    "PROGRESS_REQUEST",
    "Keyspace",
    "check_commit",
    "compaction",
    "conflict",
    "number",
    "put_if",
    "read",
    "revision_of",
    "txn",
    "value_of",
]

MAX_OPERATIONS = 128
"""etcd's --max-txn-ops, unless told otherwise."""

PROGRESS_REQUEST = '{"progress_request":{}}'

_LAST = 2**63 - 1
_ALL = b"\0"  # as range_end: no end


def _text(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")


def _bytes(value: str) -> bytes:
    return a2b_base64(value)


def number(value: int) -> str:
    """An int64 as the gateway takes it. What is beyond cannot be a revision, and is the future for etcd as for us."""
    return str(max(0, min(value, _LAST)))


def value_of(kv: Mapping[str, Any]) -> bytes:
    """The value in a key of an answer."""
    return _bytes(kv.get("value", ""))


def revision_of(answer: Mapping[str, Any]) -> int:
    """The revision in an answer's header."""
    return int(answer["header"].get("revision", 0))


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The part of etcd that belongs to the store: all keys that begin with `prefix`, which the Store's keys do not show."""

    prefix: bytes

    @property
    def record(self) -> bytes:
        """A key beside the Store's, none of which has NUL."""
        return self.prefix + b"\0"

    def key(self, key: str) -> bytes:
        return self.prefix + key.encode()

    def text(self, key: bytes) -> str:
        """The Store's key. Corrupt when somebody else's key is in the way."""
        try:
            return key[len(self.prefix) :].decode()
        except UnicodeDecodeError:
            hint = "it was written by another program: give the store a prefix of its own, or delete that key"
            raise Corrupt(f"etcd has the key {key!r}, which is not text: {hint}") from None

    def span(self, prefix: str, start: str | None = None) -> tuple[bytes, bytes]:
        """First key and range_end (exclusive) of what begins with `prefix`, from the key `start` on. The record is never in it."""
        first = self.key(prefix)
        # UTF-8 knows no 0xff, and the store's own prefix is UTF-8 too: counting up the last byte always works.
        end = first[:-1] + bytes([first[-1] + 1]) if first else _ALL
        return max(first, self.prefix + b"\1", self.key(start or "")), end

    def item(self, kv: Mapping[str, Any]) -> KeyValue:
        return KeyValue(self.text(_bytes(kv["key"])), _bytes(kv.get("value", "")), int(kv["mod_revision"]))

    def event(self, event: Mapping[str, Any]) -> Event | None:
        """None when the previous value is missing though there was one: etcd looks it up late, and does not find it once it is
        compacted, nor in the moment of a watch's creation."""
        kv, before = event["kv"], event.get("prev_kv")
        previous = None if before is None else _bytes(before.get("value", ""))
        key, revision = self.text(_bytes(kv["key"])), int(kv["mod_revision"])
        if event.get("type") == "DELETE":
            return None if previous is None else Event("delete", key, previous, revision, previous)
        if previous is None and kv["create_revision"] != kv["mod_revision"]:
            return None
        return Event("put", key, _bytes(kv.get("value", "")), revision, previous)

    def watch(self, prefix: str, after: int) -> str:
        """The request for every event after a revision.

        It asks for those *at* the revision too: etcd then says compacted exactly when anything later may be missing. From the next
        one on it would say so too late: compacting a revision takes that revision's deletions away."""
        first, end = self.span(prefix)
        request = {"key": _text(first), "range_end": _text(end), "start_revision": number(max(after, 1)), "prev_kv": True, "fragment": True}
        return orjson.dumps({"create_request": request}).decode()


def read(first: bytes, end: bytes = b"", *, limit: int = 0, revision: int = 0) -> bytes:
    """A linearizable range, or of one key where there is no end."""
    request = {"key": _text(first), "range_end": _text(end), "limit": number(limit), "revision": number(revision)}
    return orjson.dumps(request)


def put_if(key: bytes, value: bytes, expected: int) -> bytes:
    """A transaction that writes a key if it has the expected revision, 0 for none, and does nothing otherwise."""
    compare = {"key": _text(key), "target": "MOD", "result": "EQUAL", "mod_revision": number(expected)}
    return orjson.dumps({"compare": [compare], "success": [{"request_put": {"key": _text(key), "value": _text(value)}}]})


def compaction(revision: int) -> bytes:
    return orjson.dumps({"revision": number(revision)})


def check_commit(operations: Sequence[Operation], max_operations: int, max_bytes: int) -> None:
    """ValueError for what no backend can apply, TooLarge (one as well) for what this one cannot."""
    check_operations(operations)
    if len(operations) > max_operations:
        raise TooLarge(f"{len(operations)} operations in one commit; etcd takes {max_operations} (--max-txn-ops): use several commits")
    size = sum(len(operation.key) + (len(operation.value) if isinstance(operation, Put) else 0) for operation in operations)
    if size > max_bytes:
        raise TooLarge(f"{size} bytes in one commit; etcd takes {max_bytes} (--max-request-bytes): write less at once")


def txn(space: Keyspace, operations: Sequence[Operation]) -> bytes:
    """The transaction: all expectations compared; then all changes in their order, or else the true revision of each compared key.

    At least one operation: one that neither changes nor reads anything would be answered from the member's own, maybe old, state."""
    expectations = [(_text(space.key(o.key)), o.expected) for o in operations if o.expected is not None]
    success = [_change(_text(space.key(o.key)), o) for o in operations if not isinstance(o, Check)]
    request = {
        "compare": [{"key": k, "target": "MOD", "result": "EQUAL", "mod_revision": number(e)} for k, e in expectations],
        "success": success,
        "failure": [_peek(k) for k, _ in expectations],
    }
    return orjson.dumps(request)


def _change(key: str, operation: Put | Delete) -> dict[str, Any]:
    if isinstance(operation, Put):
        return {"request_put": {"key": key, "value": _text(operation.value)}}
    return {"request_delete_range": {"key": key}}


def _peek(key: str) -> dict[str, Any]:
    return {"request_range": {"key": key, "keys_only": True}}


def conflict(answer: Mapping[str, Any], operations: Sequence[Operation]) -> Conflict:
    """The first expectation that did not hold, from the answer to a transaction that did not succeed."""
    compared = [(o.key, o.expected) for o in operations if o.expected is not None]
    for (key, expected), response in zip(compared, answer["responses"], strict=True):
        kvs = response["response_range"].get("kvs")
        actual = int(kvs[0]["mod_revision"]) if kvs else 0
        if actual != expected:
            return Conflict(key, expected, actual)
    raise Corrupt("etcd refused a transaction whose expectations hold: its answers cannot be trusted; check the member's health")
