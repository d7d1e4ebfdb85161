"""Request bodies: read up to a limit, decoded from JSON or YAML into JSON-shaped values, doubled keys found.

Strict where readers could disagree: UTF-8, finite numbers, limited depth, and nothing of YAML that JSON has no equivalent of. Bounded
before Python looks at any value: by bytes, by the number of values, and by the length of keys. YAML, which is slow to read, is read in
turns, between which other requests are served.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.apis.status import ApiError, bad_request, too_large, too_many_values
from apiserver.handlers.request.timebudget import TURNS
from apiserver.handlers.request.yamlloader import parse
from apiserver.registry.generic.counting import VALUES, exceeds, outside

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from apiserver.handlers.request.call import Call

__all__ = ["DEPTH", "KEY", "LIMIT", "PATH", "YAML_LIMIT", "Decoded", "decode", "note", "read", "read_value", "value_of"]

LIMIT = 1536 * 1024
"""Bytes of a body."""
YAML_LIMIT = 1024 * 1024
"""Bytes of a body that has to be read as YAML."""
DEPTH = 128
KEY, PATH = 1024, 8192
"""Characters of a key, and of all keys on the way to a value: messages and field sets quote them once for each value."""
LARGE = 1000
"""Bodies with more values than that let others have a turn between the steps of their handling."""
CHEAP = 64 * 1024
"""Brackets up to which a body that has too many values is parsed all the same, to say first what else is wrong with it: with few commas,
they are nested too deep, which is found fast."""
ESCAPES = 16 * 1024
"""Escaped characters of a body that may be looked at one by one for surrogates; a µs each."""
NAMED = 50
"""Doubled keys that are named; the rest is only counted."""
SHOWN = 512
"""Characters of a doubled key's path."""
SLICE = 64 * 1024
"""Characters that are looked at in one step for bytes that are no UTF-8."""
EXACT = 2.0**53
"""Up to here every integer has a float of its own."""
SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""What integers can be encoded."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A body's value, and what to say of each key that it has more than once (the last one counts). `large`: handling it takes long."""

    value: Any
    duplicates: tuple[str, ...] = ()
    large: bool = False


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
    return await value_of(call, await read(call), media, find_duplicates=find_duplicates)


async def value_of(call: Call, body: bytes, media: str, *, find_duplicates: bool = True) -> Decoded:
    """The same of a body that was read. Others have their turns meanwhile."""
    turn, steps = TURNS.begin(), _steps(body, media, find_duplicates=find_duplicates)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            decoded: Decoded = end.value
            break
        await turn.over()
    note(call, decoded.value)
    if decoded.large:
        await TURNS.next()
    return decoded


def note(call: Call, value: Any) -> None:
    """Give the audit log the value of the call's body."""
    if call.note is not None:
        call.note(value)


def decode(body: bytes, media: str, *, find_duplicates: bool = True) -> Decoded:
    """The value of a JSON or YAML body, at one go. Raises ApiError (400, 413)."""
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
    """Replace each byte that is no UTF-8, and each surrogate without its other half, by U+FFFD: so Go reads JSON. Raises ApiError (400)
    where there is neither, which means that `error` stands."""
    if body.count(b"\\") > ESCAPES:
        raise bad_request("the body is not JSON, or has a surrogate without its other half among too many escaped characters")
    text = body.decode(errors="surrogateescape")
    yield
    replaced = yield from _without_bytes(text)
    if "\\ud" in replaced or "\\uD" in replaced:
        yield
        replaced = _SURROGATE.sub(_whole_or_replaced, replaced)
    if replaced == text:
        raise _no_json(error)
    yield
    return replaced.encode()


def _without_bytes(text: str) -> Generator[None, None, str]:
    """The text with U+FFFD for what was no UTF-8, in slices: each byte may be such."""
    if not _NO_UTF8.search(text):
        return text
    parts: list[str] = []
    for start in range(0, len(text), SLICE):
        yield
        parts.append(_NO_UTF8.sub("\ufffd", text[start : start + SLICE]))
    return "".join(parts)


def _load_replaced(body: bytes) -> tuple[Any, bool]:
    try:
        return _load_json(body)
    except orjson.JSONDecodeError as error:
        raise _no_json(error) from None


def _no_json(error: orjson.JSONDecodeError) -> ApiError:
    return bad_request(f"the body is not JSON: {error}")


def _whole_or_replaced(found: re.Match[str]) -> str:
    return found[0] if found[1] is None else "\ufffd"


_NO_UTF8 = re.compile("[\udc80-\udcff]")
"""What Python makes of single bytes that are no UTF-8."""
_SURROGATE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\[^\n]")
"""Pairs of surrogates, single ones (group 1), and all else that is escaped, so that what follows an escaped backslash is none."""


def _load_json(body: bytes) -> tuple[Any, bool]:
    """The value, and whether it is large."""
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
    """The value of a YAML body that is JSON, as most applied ones are; None where it has to be read as YAML."""
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
    """The first NAMED of them, and how many there are besides."""
    yield from islice(problems, NAMED)
    if more := sum(1 for _ in problems):
        yield f"and {more} more"


def _integral(value: Any, above: int = 0) -> Any:
    """The value, which is changed, with 2.0 as 2: JSON has one kind of number, and models tell integers apart. Integers of more than 64
    bits become floats, as which JSON's are read. `above`: characters of the keys that lead here. Raises ApiError (400) for long keys."""
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
    return orjson.dumps(value) == body or outside(body).count(b":") == _members(value)


def _members(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum([_members(item) for item in value.values() if isinstance(item, dict | list)])
    return sum([_members(item) for item in value if isinstance(item, dict | list)]) if isinstance(value, list) else 0


def _doubled(body: bytes) -> tuple[str, ...]:
    """What to say of each doubled key of a JSON body."""
    if body.count(b"\\") > CHEAP:
        return ("duplicate field: some object of the body has a key twice",)  # which one is slow to find between so many escapes
    doubled: list[tuple[dict[str, Any], list[str]]] = []

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            doubled.append((found, [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]))
        return found

    # Numbers do not matter here, and Python reads long ones slowly or not at all.
    value = json.loads(body, object_pairs_hook=mapping, parse_int=len, parse_float=len)
    return tuple(_some(_paths(value, (), {id(item): keys for item, keys in doubled})))


def _paths(value: Any, path: tuple[str, ...], doubled: dict[int, list[str]]) -> Iterator[str]:
    if isinstance(value, dict):
        for key in doubled.get(id(value), ()):
            yield f'duplicate field "{"".join((*path, key))[:SHOWN]}"'
        for key, item in value.items():
            if isinstance(item, dict | list):
                yield from _paths(item, (*path, key, "."), doubled)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                yield from _paths(item, (*path[:-1], f"[{index}]", "."), doubled)
