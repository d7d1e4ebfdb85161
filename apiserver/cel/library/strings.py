"""Provide functions of strings (version 2 of CEL's extension)."""

from __future__ import annotations

import math
from typing import Any

from apiserver.cel.library.standard import shortest
from apiserver.cel.meter import Meter, traversal
from apiserver.cel.operators import key_value
from apiserver.cel.registry import function, member, reads
from apiserver.cel.values import CelError, Duration, Timestamp, TypeValue, UInt, type_name

PRECISE = 100
"""The largest number of digits that a clause of format() may request."""
_QUOTED = [(letter, "\\" + name) for letter, name in zip('\\\a\b\f\n\r\t\v"', '\\abfnrtv"', strict=True)]
"""The characters that quote() replaces. The backslash comes first, because replacements contain
it."""

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

# The methods of bytes change only ASCII letters, in a fiftieth of the time of str.translate.
member("lowerAscii", "string", cost=reads())(lambda meter, text: text.encode().lower().decode())
member("upperAscii", "string", cost=reads())(lambda meter, text: text.encode().upper().decode())
member("trim", "string", cost=reads())(lambda meter, text: text.strip(_SPACES))


@function("strings.quote", "string", cost=reads())
def _quote(meter: Meter, text: str) -> str:
    for letter, written in _QUOTED:
        text = text.replace(letter, written)
    return f'"{text}"'


@member("charAt", "string", "int")
def _char_at(meter: Meter, text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise CelError(f"index out of range: {index}")
    return text[index : index + 1]


def _search(text: str, part: str, *rest: int) -> int:
    return traversal(len(text)) + 1


@member("indexOf", "string", "string", cost=_search)
def _index_of(meter: Meter, text: str, part: str) -> int:
    return text.find(part)


@member("indexOf", "string", "string", "int", cost=_search)
def _index_of_from(meter: Meter, text: str, part: str, start: int) -> int:
    if not part:
        return start
    if start < 0:
        raise CelError(f"index out of range: {start}")
    return text.find(part, start)


@member("lastIndexOf", "string", "string", cost=_search)
def _last_index_of(meter: Meter, text: str, part: str) -> int:
    return text.rfind(part)


@member("lastIndexOf", "string", "string", "int", cost=_search)
def _last_index_of_from(meter: Meter, text: str, part: str, start: int) -> int:
    if not part:
        return start
    if start < 0:
        raise CelError(f"index out of range: {start}")
    return text.rfind(part, 0, start + len(part)) if start < len(text) else -1


def _replaced(meter: Meter, text: str, old: str, new: str, limit: int = -1) -> str:
    places = text.count(old)
    places = min(places, limit) if limit >= 0 else places
    meter.charge(traversal(max(0, places * (len(new) - len(old)))))
    return text.replace(old, new, places)


member("replace", "string", "string", "string", cost=reads(0.2))(_replaced)
member("replace", "string", "string", "string", "int", cost=reads(0.2))(_replaced)


def _split(meter: Meter, text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if separator:
        meter.charge(text.count(separator) // 10)
        return text.split(separator, limit - 1 if limit > 0 else -1)
    meter.charge(len(text) // 10)
    if limit < 0 or limit >= len(text):
        return list(text)
    return [*text[: limit - 1], text[limit - 1 :]]


member("split", "string", "string", cost=reads(0.2))(_split)
member("split", "string", "string", "int", cost=reads(0.2))(_split)


@member("substring", "string", "int", cost=reads())
def _substring(meter: Meter, text: str, start: int) -> str:
    return _part(text, start, len(text))


@member("substring", "string", "int", "int", cost=reads())
def _substring_to(meter: Meter, text: str, start: int, end: int) -> str:
    if start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    return _part(text, start, end)


def _part(text: str, start: int, end: int) -> str:
    for index in (start, end):
        if not 0 <= index <= len(text):
            raise CelError(f"index out of range: {index}")
    return text[start:end]


def _join(meter: Meter, values: list[Any], separator: str = "") -> str:
    for one in values:
        if not isinstance(one, str):
            raise CelError(f"join: invalid input: {type_name(one)}")
    meter.charge(traversal(sum(map(len, values)) + len(separator) * len(values), 0.2))
    return separator.join(values)


member("join", "list", cost=lambda value: len(value) // 10)(_join)
member("join", "list", "string", cost=lambda value, separator: len(value) // 10)(_join)


@member("format", "string", "list", cost=reads())
def _format(meter: Meter, template: str, values: list[Any]) -> str:
    """Fill a template. Each part is charged before it is joined."""
    parts: list[str] = []
    at, used = 0, 0
    while (percent := template.find("%", at)) >= 0:
        parts.append(template[at:percent])
        if template[percent + 1 : percent + 2] == "%":
            parts.append("%")
            at = percent + 2
            continue
        if used >= len(values):
            raise CelError(f"index {used} out of range")
        text, at = _clause(meter, template, percent + 1, values[used])
        used += 1
        parts.append(text)
    return "".join([*parts, template[at:]])


def _clause(meter: Meter, template: str, at: int, value: Any) -> tuple[str, int]:
    """Return the text of a clause, and where it ends."""
    digits, start = None, at
    if template[at : at + 1] == ".":
        at += 1
        while template[at : at + 1].isdigit() and at < start + 8:
            at += 1
        digits = int(template[start + 1 : at]) if at > start + 1 else PRECISE + 1
        if digits > PRECISE:
            raise CelError(f"could not parse formatting clause: error while parsing precision: at most {PRECISE} digits are supported")
    clause = template[at : at + 1]
    if not clause:
        raise CelError("unexpected end of string")
    if clause not in "sdfebxXo":
        raise CelError(f'could not parse formatting clause: unrecognized formatting clause "{clause}"')
    text = _shown(meter, value) if clause == "s" else _numeric(clause, value, 6 if digits is None else digits)
    meter.charge(traversal(len(text)))
    return text, at + 1


def _numeric(clause: str, value: Any, digits: int) -> str:
    whole = type(value) in (int, UInt)
    if clause in "fe" and isinstance(value, float):
        return _infinite(value) or (_scientific(value, digits) if clause == "e" else f"{value:.{digits}f}")
    if clause == "d" and (whole or (isinstance(value, float) and _infinite(value))):
        return _infinite(value) or str(int(value))
    if clause == "b" and (whole or isinstance(value, bool)):
        return f"{int(value):b}"
    if clause == "o" and whole:
        return f"{int(value):o}"
    if clause in "xX" and whole:
        return f"{int(value):{clause}}"
    if clause in "xX" and isinstance(value, str | bytes):
        text = (value.encode() if isinstance(value, str) else value).hex()
        return text.upper() if clause == "X" else text
    raise CelError(f"error during formatting: {_CLAUSES[clause.lower()]}, was given {type_name(value)}")


_CLAUSES = {
    "d": "decimal clause can only be used on integers",
    "f": "fixed-point clause can only be used on doubles",
    "e": "scientific clause can only be used on doubles",
    "b": "only integers and bools can be formatted as binary",
    "x": "only integers, byte buffers, and strings can be formatted as hex",
    "o": "octal clause can only be used on integers",
}


def _infinite(value: float) -> str:
    """Return the word for a value that is no number, "" for numbers."""
    return "" if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _scientific(value: float, digits: int) -> str:
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    return f"{mantissa}×10{exponent.replace('+', '').translate(_RAISED)}"


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _inner(meter: Meter, value: Any) -> str:
    """Return an element as %s shows it."""
    return f'"{value}"' if isinstance(value, str) else _shown(meter, value)


def _shown(meter: Meter, value: Any) -> str:
    """Return a value as %s shows it."""
    meter.charge(1)
    if value is None:
        return "null"
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _infinite(value) or shortest(value)
    if isinstance(value, int | Timestamp | Duration | TypeValue):
        return str(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list):
        return f"[{', '.join(_inner(meter, one) for one in value)}]"
    if isinstance(value, dict):
        pairs = sorted((_inner(meter, key_value(key)), _inner(meter, one)) for key, one in value.items())
        return "{" + ", ".join(f"{key}:{one}" for key, one in pairs) + "}"
    raise CelError(
        "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations,"
        f" and timestamps, was given {type_name(value)}"
    )


@function("jsonpatch.escapeKey", "string", cost=reads())
def _escape_key(meter: Meter, text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")
