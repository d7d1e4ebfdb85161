"""Request bodies: read up to a limit, decoded from JSON or YAML into JSON-shaped values, doubled keys found.

Strict where readers could disagree: UTF-8, finite numbers, limited depth, and nothing of YAML that JSON has no
equivalent of.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.apis.status import bad_request, too_large
from apiserver.endpoints.yamlloader import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apiserver.endpoints.call import Call

__all__ = ["DEPTH", "LIMIT", "Decoded", "decode", "note", "read", "read_value"]

LIMIT = 3 * 1024 * 1024
DEPTH = 128
EXACT = 2.0**53
"""Up to here every integer has a float of its own."""
SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""What integers can be encoded."""
STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?')
"""Each string of a JSON body; with the colon behind it, if it is a key."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A body's value, and what to say of each key that it has more than once (the last one counts)."""

    value: Any
    duplicates: tuple[str, ...] = ()


async def read(call: Call) -> bytes:
    """The body's bytes. Raises ApiError TooLarge (413)."""
    http = call.http
    if (http.content_length or 0) > LIMIT:
        raise too_large(LIMIT)
    parts: list[bytes] = []
    size = 0
    async for part in http.content.iter_any():
        size += len(part)
        if size > LIMIT:
            raise too_large(LIMIT)
        parts.append(part)
    return b"".join(parts)


async def read_value(call: Call, media: str, *, find_duplicates: bool = True) -> Decoded:
    """The value of the call's body, which the audit log is given as well. Raises ApiError (400, 413)."""
    decoded = decode(await read(call), media, find_duplicates=find_duplicates)
    note(call, decoded.value)
    return decoded


def note(call: Call, value: Any) -> None:
    """Give the audit log the value of the call's body."""
    if call.note is not None:
        call.note(value)


def decode(body: bytes, media: str, *, find_duplicates: bool = True) -> Decoded:
    """The value of a JSON or YAML body. Raises ApiError (400)."""
    if media.endswith("yaml"):
        return _json_in_yaml(body) or _decode_yaml(body)
    try:
        value = _load_json(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}") from None
    return Decoded(value, tuple(_doubled(body)) if find_duplicates and not _unique(body, value) else ())


def _load_json(body: bytes) -> Any:
    value = orjson.loads(body)
    if body.count(b"{") + body.count(b"[") > DEPTH:
        _check(value)
    return _integral(value)


def _json_in_yaml(body: bytes) -> Decoded | None:
    """The value of a YAML body that is JSON, as most applied ones are; None where it has to be read as YAML."""
    if not body.startswith(b"{"):
        return None
    try:
        value = _load_json(body)
    except orjson.JSONDecodeError:
        return None
    return Decoded(value) if _unique(body, value) else None


def _decode_yaml(body: bytes) -> Decoded:
    try:
        value, duplicates = load(body.decode(), DEPTH)
    except UnicodeError:
        raise bad_request("the body is not UTF-8") from None
    _check(value)
    return Decoded(_integral(value), tuple(duplicates))


def _integral(value: Any) -> Any:
    """The value, which is changed, with 2.0 as 2: JSON has one kind of number, and models tell integers apart. Integers of more than 64
    bits become floats, as which JSON's are read."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(item) is not str:
                value[key] = _integral(item)
        return value
    if kind is list:
        for index, item in enumerate(value):
            if type(item) is not str:
                value[index] = _integral(item)
        return value
    if kind is int:
        return value if SMALLEST <= value <= LARGEST else _float(value)
    return int(value) if kind is float and value.is_integer() and abs(value) <= EXACT else value


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise bad_request("the body has a number that is too large") from None


def _check(value: Any) -> None:
    """Refuse what has no JSON or is too deep."""
    level = [value]
    for _ in range(DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                if not all(isinstance(key, str) for key in item):
                    raise bad_request("the body has keys that are not text")
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise bad_request("the body has a number that is not finite")
            elif not (item is None or isinstance(item, str | int | float)):
                raise bad_request(f"the body has a value of a type that JSON has not: {type(item).__name__}")
        if not below:
            return
        level = below
    raise bad_request(f"the body is nested more than {DEPTH} levels deep")


def _unique(body: bytes, value: Any) -> bool:
    """Whether no key of a JSON body is doubled: it is what its value encodes to, or has as many keys as that."""
    return orjson.dumps(value) == body or sum(map(bool, STRING.findall(body))) == _members(value)


def _members(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum([_members(item) for item in value.values() if isinstance(item, dict | list)])
    return sum([_members(item) for item in value if isinstance(item, dict | list)]) if isinstance(value, list) else 0


def _doubled(body: bytes) -> list[str]:
    """What to say of each doubled key of a JSON body."""
    doubled: list[tuple[dict[str, Any], list[str]]] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            doubled.append((found, [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]))
        return found

    value = json.loads(body, object_pairs_hook=mapping)
    return list(_paths(value, "", {id(item): keys for item, keys in doubled}))


def _paths(value: Any, path: str, doubled: dict[int, list[str]]) -> Iterator[str]:
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        yield from (f'duplicate field "{prefix}{key}"' for key in doubled.get(id(value), ()))
        for key, item in value.items():
            yield from _paths(item, prefix + key, doubled)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(item, f"{path}[{index}]", doubled)
