"""Encode requests to etcd's JSON gateway, and decode its answers.

This replaces etcd3-py's models, which lose b"" and cost seconds per list. In this JSON, int64
values are strings, bytes are base64, and fields with the zero value of their type are omitted.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from storage.base import Check, Conflict, Corrupt, Delete, Event, KeyValue, Operation, Put, TooLarge
from storage.keys import check_operations

MAX_OPERATIONS = 128
"""The default of etcd's --max-txn-ops."""

PROGRESS_REQUEST = '{"progress_request":{}}'

_LAST = 2**63 - 1
_ALL = b"\0"  # as range_end: no end


def _text(value: bytes) -> str:
    return b2a_base64(value, newline=False).decode("ascii")


def _bytes(value: str) -> bytes:
    return a2b_base64(value)


def number(value: int) -> str:
    """Return an int64 as the gateway accepts it.

    No revision exceeds an int64, so a larger value becomes the largest int64. etcd reports that as
    a future revision."""
    return str(max(0, min(value, _LAST)))


def value_of(kv: Mapping[str, Any]) -> bytes:
    """Return the value of a key-value pair of an answer."""
    return _bytes(kv.get("value", ""))


def revision_of(answer: Mapping[str, Any]) -> int:
    """Return the revision from the header of an answer."""
    return int(answer["header"].get("revision", 0))


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The part of etcd that belongs to the store: all keys that begin with `prefix`.

    The prefix is not part of the Store's keys."""

    prefix: bytes

    @property
    def record(self) -> bytes:
        """Return the key of the record of storage.etcd.restoredetection.

        It cannot collide with a Store's key, which never contains NUL."""
        return self.prefix + b"\0"

    def key(self, key: str) -> bytes:
        return self.prefix + key.encode()

    def text(self, key: bytes) -> str:
        """Return the Store's key. Raises Corrupt for a key that another program wrote."""
        try:
            return key[len(self.prefix) :].decode()
        except UnicodeDecodeError:
            hint = "it was written by another program: give the store a prefix of its own, or delete that key"
            raise Corrupt(f"etcd has the key {key!r}, which is not text: {hint}") from None

    def span(self, prefix: str, start: str | None = None) -> tuple[bytes, bytes]:
        """Return the first key and range_end (exclusive) of the keys with `prefix`, from `start`
        on.

        The range never contains the record."""
        first = self.key(prefix)
        # UTF-8 never contains 0xff, and the store's own prefix is UTF-8 too, so the last byte can
        # always be incremented.
        end = first[:-1] + bytes([first[-1] + 1]) if first else _ALL
        return max(first, self.prefix + b"\1", self.key(start or "")), end

    def item(self, kv: Mapping[str, Any]) -> KeyValue:
        return KeyValue(self.text(_bytes(kv["key"])), _bytes(kv.get("value", "")), int(kv["mod_revision"]))

    def event(self, event: Mapping[str, Any]) -> Event | None:
        """Return the event, or None if its previous value is missing although there was one.

        etcd looks up the previous value only when it sends the event. It finds none after a
        compaction, or while the watch is being created."""
        kv, before = event["kv"], event.get("prev_kv")
        previous = None if before is None else _bytes(before.get("value", ""))
        key, revision = self.text(_bytes(kv["key"])), int(kv["mod_revision"])
        if event.get("type") == "DELETE":
            return None if previous is None else Event("delete", key, previous, revision, previous)
        if previous is None and kv["create_revision"] != kv["mod_revision"]:
            return None
        return Event("put", key, _bytes(kv.get("value", "")), revision, previous)

    def watch(self, prefix: str, after: int) -> str:
        """Return the request for every event after a revision.

        The request includes the events *at* that revision: etcd then reports compaction exactly
        when a later event may be missing. With the next revision it would report it too late,
        because compacting a revision removes the deletions of that revision."""
        first, end = self.span(prefix)
        request = {"key": _text(first), "range_end": _text(end), "start_revision": number(max(after, 1)), "prev_kv": True, "fragment": True}
        return orjson.dumps({"create_request": request}).decode()


def read(first: bytes, end: bytes = b"", *, limit: int = 0, revision: int = 0) -> bytes:
    """Return a linearizable range request, or a request for one key if `end` is empty."""
    request = {"key": _text(first), "range_end": _text(end), "limit": number(limit), "revision": number(revision)}
    return orjson.dumps(request)


def put_if(key: bytes, value: bytes, expected: int) -> bytes:
    """Return a transaction that writes a key if it has the expected revision (0: does not exist).

    Otherwise the transaction does nothing."""
    compare = {"key": _text(key), "target": "MOD", "result": "EQUAL", "mod_revision": number(expected)}
    return orjson.dumps({"compare": [compare], "success": [{"request_put": {"key": _text(key), "value": _text(value)}}]})


def compaction(revision: int) -> bytes:
    return orjson.dumps({"revision": number(revision)})


def check_commit(operations: Sequence[Operation], max_operations: int, max_bytes: int) -> None:
    """Raise ValueError for operations that no backend can apply, and TooLarge for etcd's limits.

    TooLarge is a ValueError too."""
    check_operations(operations)
    if len(operations) > max_operations:
        raise TooLarge(f"{len(operations)} operations in one commit; etcd takes {max_operations} (--max-txn-ops): use several commits")
    size = sum(len(operation.key) + (len(operation.value) if isinstance(operation, Put) else 0) for operation in operations)
    if size > max_bytes:
        raise TooLarge(f"{size} bytes in one commit; etcd takes {max_bytes} (--max-request-bytes): write less at once")


def txn(space: Keyspace, operations: Sequence[Operation]) -> bytes:
    """Return the transaction: compare all expectations, then apply all changes in their order.

    If an expectation fails, the transaction returns the actual revision of each compared key. There
    must be at least one operation: a transaction that neither changes nor reads anything would be
    answered from the member's own, possibly stale, state."""
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
    """Return the first failed expectation from the answer to a transaction that did not succeed."""
    compared = [(o.key, o.expected) for o in operations if o.expected is not None]
    for (key, expected), response in zip(compared, answer["responses"], strict=True):
        kvs = response["response_range"].get("kvs")
        actual = int(kvs[0]["mod_revision"]) if kvs else 0
        if actual != expected:
            return Conflict(key, expected, actual)
    raise Corrupt("etcd refused a transaction whose expectations hold: its answers cannot be trusted; check the member's health")
