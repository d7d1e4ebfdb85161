"""Decode core/v1 objects in protobuf, which clients with built-in types send (kubectl create
secret).

Answers are JSON nevertheless. Source: k8s.io/api/core/v1/generated.proto and apimachinery's
runtime.Unknown, after the magic bytes "k8s\\0". Unknown fields are skipped.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from apiserver.apis.status import bad_request

MAGIC = b"k8s\x00"
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Field = tuple[str, Any]
"""The JSON name, and the type of the value.

The type is text, data, flag, number, time, or the fields of a message. [x] is a list of a type, and
{"": x} a map with values of a type."""

REFERENCE: Mapping[int, Field] = {
    1: ("kind", "text"),
    2: ("namespace", "text"),
    3: ("name", "text"),
    4: ("uid", "text"),
    5: ("apiVersion", "text"),
    6: ("resourceVersion", "text"),
    7: ("fieldPath", "text"),
}
OWNER: Mapping[int, Field] = {
    1: ("kind", "text"),
    3: ("name", "text"),
    4: ("uid", "text"),
    5: ("apiVersion", "text"),
    6: ("controller", "flag"),
    7: ("blockOwnerDeletion", "flag"),
}
METADATA: Mapping[int, Field] = {
    1: ("name", "text"),
    2: ("generateName", "text"),
    3: ("namespace", "text"),
    5: ("uid", "text"),
    6: ("resourceVersion", "text"),
    11: ("labels", {"": "text"}),
    12: ("annotations", {"": "text"}),
    13: ("ownerReferences", [OWNER]),
    14: ("finalizers", ["text"]),
}
EVENT: Mapping[int, Field] = {
    1: ("metadata", METADATA),
    2: ("involvedObject", REFERENCE),
    3: ("reason", "text"),
    4: ("message", "text"),
    5: ("source", {1: ("component", "text"), 2: ("host", "text")}),
    6: ("firstTimestamp", "time"),
    7: ("lastTimestamp", "time"),
    8: ("count", "number"),
    9: ("type", "text"),
    10: ("eventTime", "time"),
    12: ("action", "text"),
    13: ("related", REFERENCE),
    14: ("reportingComponent", "text"),
    15: ("reportingInstance", "text"),
}
KINDS: Mapping[str, Mapping[int, Field]] = {
    "Namespace": {1: ("metadata", METADATA)},
    "Secret": {
        1: ("metadata", METADATA),
        2: ("data", {"": "data"}),
        3: ("type", "text"),
        4: ("stringData", {"": "text"}),
        5: ("immutable", "flag"),
    },
    "ConfigMap": {1: ("metadata", METADATA), 2: ("data", {"": "text"}), 3: ("binaryData", {"": "data"}), 4: ("immutable", "flag")},
    "Event": EVENT,
}
TYPE = {1: ("apiVersion", "text"), 2: ("kind", "text")}


def read_core(body: bytes) -> dict[str, Any]:
    """Return the object in the body. Raises ApiError (400)."""
    if not body.startswith(MAGIC):
        raise bad_request("the body is not Kubernetes' protobuf: it lacks the magic bytes")
    try:
        kind: dict[str, Any] = {}
        raw = b""
        for number, value in _fields(body[len(MAGIC) :]):
            if number == 1:
                kind = _message(_bytes(value), TYPE)
            elif number == 2:
                raw = _bytes(value)
        fields = KINDS.get(kind.get("kind", ""))
        if fields is None or kind.get("apiVersion") != "v1":
            raise bad_request(f"{kind.get('kind') or 'this'} is not read in protobuf here: send JSON")
        return {**kind, **_message(raw, fields)}
    except (ValueError, IndexError, OverflowError, RecursionError):
        raise bad_request("the body is damaged protobuf") from None


def _message(body: bytes, fields: Mapping[int, Field]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(body):
        if number not in fields:
            continue
        name, form = fields[number]
        if isinstance(form, list):
            found.setdefault(name, []).append(_value(value, form[0]))
        elif isinstance(form, dict) and "" in form:
            entry = _message(_bytes(value), {1: ("key", "text"), 2: ("value", form[""])})
            found.setdefault(name, {})[entry.get("key", "")] = entry.get("value", "")
        elif (read := _value(value, form)) not in ("", None, {}):
            found[name] = read  # Go writes empty fields too; omitted ones are equivalent
    return found


def _value(value: int | bytes, form: Any) -> Any:
    match form:
        case "text":
            return _bytes(value).decode()
        case "data":
            return base64.b64encode(_bytes(value)).decode()
        case "flag":
            return bool(_int(value))
        case "number":
            return _int(value)
        case "time":
            when = dict(_fields(_bytes(value)))
            return datetime.fromtimestamp(_int(when[1]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when.get(1) else None
    return _message(_bytes(value), form)


def _fields(body: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the number and the value of each field of a message. Raises ValueError for damaged
    data."""
    place = 0
    while place < len(body):
        tag, place = _varint(body, place)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, place = _varint(body, place)
            yield number, value
            continue
        size = {FIXED64: 8, FIXED32: 4}.get(wire, -1)
        if wire == BYTES:
            size, place = _varint(body, place)
        if size < 0 or place + size > len(body):
            raise ValueError("damaged")
        yield number, body[place : place + size]
        place += size


def _varint(body: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = body[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("damaged")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("damaged")
    return value


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("damaged")
    return value
