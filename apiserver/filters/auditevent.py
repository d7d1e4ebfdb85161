"""audit.k8s.io/v1 Event: from what was noted of a request to the JSON that is written. Pure; runs in the writer's thread.

At level Metadata nothing of a body gets in but the name, uid and resourceVersion of the object in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import yaml

from apiserver.filters.auditpolicy import LEVELS

if TYPE_CHECKING:
    from apiserver.endpoints.call import RequestInfo
    from apiserver.registry.context import UserInfo

__all__ = ["METADATA", "REQUEST", "RESPONSE", "Record", "encode"]

METADATA, REQUEST, RESPONSE = (LEVELS.index(level) for level in ("Metadata", "Request", "RequestResponse"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One stage of one request. Times are seconds since the epoch; `body` and `answer` are bytes as they came and went, empty
    where they are not to be recorded; `status` is the response's, None before there is one."""

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
    body: bytes = b""
    answer: bytes = b""
    annotations: dict[str, str] = field(default_factory=dict)
    omit_managed_fields: bool = False

    @property
    def size(self) -> int:
        """About how many bytes it keeps in memory."""
        return 2048 + len(self.body) + len(self.answer)


def encode(record: Record) -> bytes:
    """The Event as one line."""
    info, sent, said = record.info, _decoded(record.body), _decoded(record.answer)
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
        event["objectRef"] = _reference(info, sent)
    if record.status is not None:
        event["responseStatus"] = {"metadata": {}, **_bounded(said), **record.status}
    if record.level >= REQUEST and sent is not None:
        event["requestObject"] = _without_managed_fields(sent) if record.omit_managed_fields else sent
    if record.level >= RESPONSE and said is not None:
        event["responseObject"] = _without_managed_fields(said) if record.omit_managed_fields else said
    event |= {"requestReceivedTimestamp": _time(record.received), "stageTimestamp": _time(record.now)}
    if record.annotations:
        event["annotations"] = record.annotations
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def _user(user: UserInfo) -> dict[str, Any]:
    found = {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": {k: list(v) for k, v in user.extra.items()}}
    return {key: value for key, value in found.items() if value}


def _reference(info: RequestInfo, sent: Any) -> dict[str, str]:
    metadata = sent.get("metadata") if isinstance(sent, dict) and info.verb in ("create", "update") else None
    known = {key: value for key, value in (metadata if isinstance(metadata, dict) else {}).items() if isinstance(value, str)}
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
    """Of an answer that is a Status, the fields that have a bound."""
    if not isinstance(said, dict) or said.get("kind") != "Status":
        return {}
    return {key: said[key] for key in ("status", "message", "reason", "details", "code") if key in said}


def _decoded(body: bytes) -> Any:
    """A body in JSON or YAML; None for any other, and for none."""
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        found = yaml.load(body, yaml.CSafeLoader)
        orjson.dumps(found)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _without_managed_fields(obj: Any) -> Any:
    """An object, a list's items or a table's rows without their metadata.managedFields."""
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
    """meta/v1 MicroTime."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
