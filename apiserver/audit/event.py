"""Encode audit.k8s.io/v1 Events from the records of a request.

`encode` runs in the writer's thread. At level Metadata, an event has only the name, uid and
resourceVersion of the object in a body. A request's body is never parsed here: the request path
decodes it within its bounds and passes the value. An answer is the server's own JSON, and bounded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from apiserver.audit.policy import LEVELS
from apiserver.handlers.request.call import RequestInfo
from apiserver.registry.generic.context import UserInfo

METADATA, REQUEST, RESPONSE = (LEVELS.index(level) for level in ("Metadata", "Request", "RequestResponse"))
OBJECT = 2 * 1024 * 1024
"""The largest object of a request or response that is recorded, in bytes.

A larger object is omitted, and the event notes this."""
TEXT = 512
"""The largest number of recorded characters of a name, uid or resourceVersion from a body."""
TRUNCATED = {"audit.k8s.io/truncated": "true"}
"""The annotation by which kube-apiserver marks events without their objects."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The recorded part of a request's value.

    `known` has strings of its metadata. `encoded` is JSON, empty if it is not recorded."""

    known: dict[str, str] = field(default_factory=dict)
    encoded: bytes = b""
    truncated: bool = False


def noted(value: Any, level: int, *, omit_managed_fields: bool = False) -> Sent:
    """Return the part to record of a value that the request path has decoded.

    The value is encoded at once, because handlers may change it."""
    known = _known(value)
    if level < REQUEST or not isinstance(value, dict | list):
        return Sent(known)
    try:
        encoded = orjson.dumps(_without_managed_fields(value) if omit_managed_fields else value)
    except TypeError:
        return Sent(known, truncated=True)
    return Sent(known, encoded) if len(encoded) <= OBJECT else Sent(known, truncated=True)


def _known(value: Any) -> dict[str, str]:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    found = metadata if isinstance(metadata, dict) else {}
    return {key: found[key][:TEXT] for key in ("name", "uid", "resourceVersion") if isinstance(found.get(key), str)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One stage of one request.

    Times are in seconds since the epoch. `sent` is None if no value was decoded. `answer` is the
    JSON that was sent, empty if it is not recorded. `status` is the response's, None before there
    is one."""

    level: int
    audit_id: str
    stage: str
    uri: str
    info: RequestInfo
    user: UserInfo | None
    impersonated: UserInfo | None = None
    sources: list[str] = field(default_factory=list)
    agent: str = ""
    received: float
    now: float
    status: dict[str, Any] | None = None
    sent: Sent | None = None
    answer: bytes = b""
    annotations: dict[str, str] = field(default_factory=dict)
    omit_managed_fields: bool = False

    @property
    def size(self) -> int:
        """Return the approximate number of bytes in memory."""
        return 2048 + (len(self.sent.encoded) if self.sent is not None else 0) + len(self.answer)

    def bare(self) -> Record:
        """Return the record without the objects."""
        sent = Sent(self.sent.known) if self.sent is not None else None
        return replace(self, sent=sent, answer=b"", annotations={**self.annotations, **TRUNCATED})


def encode(record: Record) -> bytes:
    """Return the Event as one line. Objects that cannot be encoded are left out."""
    try:
        return _encoded(record)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(_event(record.bare()), default=repr).encode() + b"\n"


def _encoded(record: Record) -> bytes:
    return orjson.dumps(_event(record), option=orjson.OPT_APPEND_NEWLINE)


def _event(record: Record) -> dict[str, Any]:
    info, sent, said = record.info, record.sent or Sent(), _decoded(record.answer)
    event: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": LEVELS[record.level],
        "auditID": record.audit_id,
        "stage": record.stage,
        "requestURI": record.uri,
        "verb": info.verb,
        "user": _user(record.user) if record.user is not None else {},
    }
    if record.impersonated is not None:
        event["impersonatedUser"] = _user(record.impersonated)
    event |= {key: value for key, value in (("sourceIPs", record.sources), ("userAgent", record.agent)) if value}
    if info.is_resource:
        event["objectRef"] = _reference(info, sent.known)
    if record.status is not None:
        event["responseStatus"] = {"metadata": {}, **_bounded(said), **record.status}
    if record.level >= REQUEST and sent.encoded:
        event["requestObject"] = orjson.Fragment(sent.encoded)
    if record.level >= RESPONSE and said is not None:
        event["responseObject"] = _without_managed_fields(said) if record.omit_managed_fields else said
    event |= {"requestReceivedTimestamp": _time(record.received), "stageTimestamp": _time(record.now)}
    truncated = sent.truncated or (record.level >= RESPONSE and len(record.answer) > OBJECT)
    annotations = {**record.annotations, **TRUNCATED} if truncated else record.annotations
    return {**event, "annotations": annotations} if annotations else event


def _user(user: UserInfo) -> dict[str, Any]:
    found = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": {k: list(v) for k, v in user.extra.items()}}
    return {key: value for key, value in found.items() if value}


def _reference(info: RequestInfo, sent: dict[str, str]) -> dict[str, str]:
    known = sent if info.verb in ("create", "update") else {}
    found = {
        "resource": info.resource,
        "namespace": info.namespace,
        "name": info.name or known.get("name", ""),
        "uid": known.get("uid", ""),
        "apiGroup": info.group,
        "apiVersion": info.version,
        "resourceVersion": known.get("resourceVersion", ""),
        "subresource": info.subresource,
    }
    return {key: value for key, value in found.items() if value}


def _bounded(said: Any) -> dict[str, Any]:
    """Return the bounded fields of an answer that is a Status."""
    if not isinstance(said, dict) or said.get("kind") != "Status":
        return {}
    return {key: said[key] for key in ("status", "message", "reason", "details", "code") if key in said}


def _decoded(answer: bytes) -> Any:
    """Return the value of an answer in JSON, or None if it is missing, no JSON, or too large to
    record."""
    if not answer or len(answer) > OBJECT:
        return None
    try:
        return orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None


def _without_managed_fields(obj: Any) -> Any:
    """Return an object, a list or a table without metadata.managedFields in any of its objects."""
    if not isinstance(obj, dict):
        return obj
    result = dict(obj)
    if isinstance(obj.get("metadata"), dict):
        result["metadata"] = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    if isinstance(obj.get("items"), list):
        result["items"] = [_without_managed_fields(item) for item in obj["items"]]
    if obj.get("kind") == "Table" and isinstance(obj.get("rows"), list):
        result["rows"] = [{**row, "object": _without_managed_fields(row.get("object"))} for row in obj["rows"]]
    return result


def _time(seconds: float) -> str:
    """Return the time as meta/v1 MicroTime."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
