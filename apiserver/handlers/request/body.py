"""Read request bodies up to a limit, and decode JSON or YAML into JSON-shaped values.

Decoding is strict wherever readers could disagree: UTF-8, finite numbers, limited depth, duplicate
keys, and no YAML without an equivalent in JSON. Bodies are bounded before Python processes any
value: by bytes, by the number of values, and by the length of keys. YAML is slow to read, so it is
read in turns, between which other requests are served.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

from apiserver.apis.status import ApiError, bad_request, too_large, too_many_values
from apiserver.handlers.request.call import Call
from apiserver.handlers.request.timebudget import TURNS
from apiserver.handlers.request.yamlloader import parse
from apiserver.registry.generic.counting import VALUES, exceeds, outside

LIMIT = 1536 * 1024
"""The largest number of bytes in a body."""
YAML_LIMIT = 1024 * 1024
"""The largest number of bytes in a body that must be read as YAML."""
DEPTH = 128
KEY, PATH = 1024, 8192
"""The largest number of characters in a key, and in all keys on the path to a value.

Messages and field sets quote them once for each value."""
LARGE = 1000
"""The number of values above which other requests get a turn between the steps of handling a
body."""
BIG = 64 * 1024
"""The number of bytes above which each step of decoding a body is a separate turn.

A step may take half a millisecond for each 100 KB."""
CHEAP = 64 * 1024
"""The number of brackets up to which a body with too many values is still parsed.

Other errors in it are then reported first. With few commas, the brackets are nested too deep, which
is detected quickly."""
ESCAPES = 16 * 1024
"""The largest number of escaped characters that are searched for surrogates, at 1 µs each."""
STEP = 1024
"""The number of escaped characters that one step searches."""
REPLACEMENT = "\ufffd".encode()
NAMED = 50
"""The number of duplicate keys that are named. The rest is only counted."""
SHOWN = 512
"""The number of characters shown of the path of a duplicate key."""
SLICE = 16 * 1024
"""The number of bytes that one step searches for invalid UTF-8."""
EXACT = 2.0**53
"""The limit up to which every integer has a float of its own."""
SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""The range of integers that can be encoded."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The value of a body, with a message about each duplicate key (the last one counts).

    `large` is true if handling the value takes long."""

    value: Any
    duplicates: tuple[str, ...] = ()
    large: bool = False


async def read(call: Call) -> bytes:
    """Return the bytes of the body. Raises ApiError TooLarge (413)."""
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
    """Return the value of the call's body, and pass it to the audit log. Raises ApiError (400,
    413)."""
    return await value_of(call, await read(call), media, find_duplicates=find_duplicates)


async def value_of(call: Call, body: bytes, media: str, *, find_duplicates: bool = True) -> Decoded:
    """Decode a body that was already read. Other requests get their turns meanwhile.

    See read_value."""
    turn, steps = TURNS.begin(), _steps(body, media, find_duplicates=find_duplicates)
    if len(body) > BIG:
        await turn.leave()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            decoded: Decoded = end.value
            break
        await (turn.leave() if len(body) > BIG and not media.endswith("yaml") else turn.checkpoint())
    note(call, decoded.value)
    if decoded.large:
        await turn.leave()
    return decoded


def note(call: Call, value: Any) -> None:
    """Pass the value of the call's body to the audit log."""
    if call.note is not None:
        call.note(value)


def decode(body: bytes, media: str, *, find_duplicates: bool = True) -> Decoded:
    """Return the value of a JSON or YAML body, without turns for others. Raises ApiError (400,
    413)."""
    steps = _steps(body, media, find_duplicates=find_duplicates)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            decoded: Decoded = end.value
            return decoded


def _steps(body: bytes, media: str, *, find_duplicates: bool) -> Generator[None, None, Decoded]:
    if media.endswith("yaml"):
        return _json_in_yaml(body) or (yield from _decode_yaml(body))
    try:
        value, large = _load_json(body)
    except orjson.JSONDecodeError as error:
        yield
        body = yield from _replaced(body, error)
        value, large = _load_replaced(body)
    if not find_duplicates:
        return Decoded(value, large=large)
    yield
    return Decoded(value, () if _unique(body, value) else _doubled(body), large)


def _replaced(body: bytes, error: orjson.JSONDecodeError) -> Generator[None, None, bytes]:
    """Replace each byte that is not UTF-8, and each unpaired surrogate, by U+FFFD, as Go reads
    JSON.

    Raises ApiError: 400 if there is neither, so that `error` stands, and 413 for a body that would
    become too large."""
    if body.count(b"\\") > ESCAPES:
        raise bad_request("the body is not JSON, or has a surrogate without its other half among too many escaped characters")
    replaced = yield from _without_halves((yield from _without_bytes(body)))
    if replaced == body:
        raise _no_json(error)
    yield
    return replaced


def _without_bytes(body: bytes) -> Generator[None, None, bytes]:
    """Return the body with U+FFFD for each byte that is not UTF-8. Raises ApiError (413).

    One byte becomes three, so the result is bounded, too."""
    parts: list[bytes] = []
    size = len(body)
    for part in _parts(body):
        replaced = _in_utf8(part)
        size += len(replaced) - len(part)
        if size > LIMIT:
            raise too_large(LIMIT)
        parts.append(replaced)
        yield
    return b"".join(parts)


def _parts(body: bytes) -> Iterator[bytes]:
    """Yield the body in parts of at most SLICE bytes that divide no character."""
    start = 0
    while start < len(body):
        end = start + SLICE
        # a character has at most three bytes after its first one
        begins = (before for before in range(end, end - 4, -1) if before >= len(body) or body[before] & 0xC0 != 0x80)
        end = next(begins, end)
        yield body[start:end]
        start = end


def _in_utf8(part: bytes) -> bytes:
    try:
        part.decode()
    except UnicodeDecodeError:
        return _NO_UTF8.sub("\ufffd", part.decode(errors="surrogateescape")).encode()
    return part


def _without_halves(body: bytes) -> Generator[None, None, bytes]:
    """Return the body with U+FFFD for each escaped surrogate that is not half of a pair."""
    parts: list[bytes] = []
    done = 0
    for number, found in enumerate(_ESCAPE.finditer(body), 1):
        if found[1] is not None:
            parts += [body[done : found.start()], REPLACEMENT]
            done = found.end()
        if number % STEP == 0:
            yield
    return b"".join((*parts, body[done:]))


def _load_replaced(body: bytes) -> tuple[Any, bool]:
    try:
        return _load_json(body)
    except orjson.JSONDecodeError as error:
        raise _no_json(error) from None


def _no_json(error: orjson.JSONDecodeError) -> ApiError:
    return bad_request(f"the body is not JSON: {error}")


_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""The code points by which Python represents single bytes that are not UTF-8."""
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|[^\n])")
"""Pairs of surrogates, unpaired ones (group 1), and all other escapes.

The last alternative keeps text after an escaped backslash from matching. The common first byte lets
the search skip text without escapes at once."""


def _load_json(body: bytes) -> tuple[Any, bool]:
    """Return the value, and whether it is large."""
    brackets = body.count(b"{") + body.count(b"[")
    commas = body.count(b",")
    large = brackets + commas > LARGE
    if large and exceeds(body, VALUES):
        if brackets <= CHEAP and commas <= 2 * VALUES:
            orjson.loads(body)
        raise too_many_values(VALUES)
    value = orjson.loads(body)
    if brackets > DEPTH:
        _check(value)
    return _integral(value), large


def _json_in_yaml(body: bytes) -> Decoded | None:
    """Return the value of a YAML body that is JSON, as most applied ones are, or None."""
    if not body.startswith(b"{"):
        return None
    try:
        value, large = _load_json(body)
    except orjson.JSONDecodeError:
        return None
    return Decoded(value, large=large) if _unique(body, value) else None


def _decode_yaml(body: bytes) -> Generator[None, None, Decoded]:
    if len(body) > YAML_LIMIT:
        raise too_large(YAML_LIMIT)
    try:
        text = body.decode()
    except UnicodeError:
        raise bad_request("the body is not UTF-8") from None
    value, duplicates = yield from parse(text, DEPTH, VALUES)
    yield
    _check(value)
    large = len(body) > LARGE
    return Decoded(_integral(value), tuple(_some(text[:SHOWN] for text in duplicates)), large)


def _some(problems: Iterator[str]) -> Iterator[str]:
    """Yield the first NAMED problems, and the number of the others."""
    yield from islice(problems, NAMED)
    if more := sum(1 for _ in problems):
        yield f"and {more} more"


def _integral(value: Any, above: int = 0) -> Any:
    """Replace 2.0 by 2 in the value, in place, and return it.

    JSON has one kind of number, but models distinguish integers. Integers of more than 64 bits
    become floats, as in Go. `above` is the number of characters in the keys that lead to the value.
    Raises ApiError (400) for long keys."""
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if len(key) + above > KEY:
                _check_key(key, above)
            if type(item) is not str:
                value[key] = _integral(item, above + len(key))
        return value
    if kind is list:
        for index, item in enumerate(value):
            if type(item) is not str:
                value[index] = _integral(item, above)
        return value
    if kind is int:
        return value if SMALLEST <= value <= LARGEST else _float(value)
    return int(value) if kind is float and value.is_integer() and abs(value) <= EXACT else value


def _check_key(key: str, above: int) -> None:
    if len(key) > KEY:
        raise bad_request(f"the body has a key of more than {KEY} characters")
    if len(key) + above > PATH:
        raise bad_request(f"the body has a field whose keys, from the top, have more than {PATH} characters together")


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise bad_request("the body has a number that is too large") from None


def _check(value: Any) -> None:
    """Raise ApiError (400) for a value that JSON cannot express, or that is too deep."""
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
    """Return whether a JSON body has no duplicate key.

    Then its value encodes to the same bytes, or has as many keys as the body."""
    return orjson.dumps(value) == body or outside(body).count(b":") == _members(value)


def _members(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum([_members(item) for item in value.values() if isinstance(item, dict | list)])
    return sum([_members(item) for item in value if isinstance(item, dict | list)]) if isinstance(value, list) else 0


def _doubled(body: bytes) -> tuple[str, ...]:
    """Return a message for each duplicate key of a JSON body."""
    if body.count(b"\\") > CHEAP:
        # finding the key among this many escapes would be slow
        return ("duplicate field: some object of the body has a key twice",)
    duplicated: list[tuple[dict[str, Any], list[str]]] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            duplicated.append((found, [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]))
        return found

    # Numbers do not matter here, and Python reads long ones slowly or not at all.
    value = json.loads(body, object_pairs_hook=mapping, parse_int=len, parse_float=len)
    return tuple(_some(_paths(value, (), {id(item): keys for item, keys in duplicated})))


def _paths(value: Any, path: tuple[str, ...], duplicated: dict[int, list[str]]) -> Iterator[str]:
    if isinstance(value, dict):
        for key in duplicated.get(id(value), ()):
            yield f'duplicate field "{"".join((*path, key))[:SHOWN]}"'
        for key, item in value.items():
            if isinstance(item, dict | list):
                yield from _paths(item, (*path, key, "."), duplicated)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _paths(item, (*path[:-1], f"[{index}]", "."), duplicated)
