"""Define CEL's values: Python's own values for JSON's, and classes for the others.

A list, a map, a string, a boolean, null, an int and a double are Python's. Nothing here changes a
value in place, because the objects of a request are shared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

INT_MIN, INT_MAX, UINT_MAX = -(2**63), 2**63 - 1, 2**64 - 1
SECOND = 10**9
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = -62135596800 * SECOND, 253402300799 * SECOND + SECOND - 1
"""The range of timestamps, in nanoseconds since 1970: the years 1 to 9999."""
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND}
_PART = re.compile(r"(\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(ns|us|µs|μs|ms|s|m|h)")
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9})\d{0,20})?(Z|[+-]\d\d:\d\d)", re.ASCII)


class CelError(Exception):
    """An expression has no value. The message is cel-go's."""


class UInt(int):
    """An unsigned integer of 64 bits."""


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time in nanoseconds."""

    nanos: int

    def __str__(self) -> str:
        sign, (seconds, nanos) = "-" if self.nanos < 0 else "", divmod(abs(self.nanos), SECOND)
        return f"{sign}{seconds}{f'.{nanos:09}'.rstrip('0') if nanos else ''}s"


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A moment in nanoseconds since 1970."""

    nanos: int

    def __str__(self) -> str:
        nanos = self.nanos % SECOND
        return f"{self.when():%Y-%m-%dT%H:%M:%S}{f'.{nanos:09}'.rstrip('0') if nanos else ''}Z".rjust(20, "0")

    def when(self) -> datetime:
        """Return the moment in UTC, without its nanoseconds."""
        return EPOCH + timedelta(seconds=self.nanos // SECOND)


@dataclass(frozen=True, slots=True)
class TypeValue:
    """A type as a value."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be absent."""

    present: bool
    value: Any = None


NONE = Optional(False)


class Opaque:
    """The base of values of extension libraries. `TYPE` is the name of their type."""

    __slots__ = ()
    TYPE = ""


_NAMES = {
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    dict: "map",
    Duration: "google.protobuf.Duration",
    Timestamp: "google.protobuf.Timestamp",
    TypeValue: "type",
    Optional: "optional_type",
}


def type_name(value: Any) -> str:
    """Return the name of a value's type."""
    found = _NAMES.get(type(value))
    return found if found is not None else str(value.TYPE)


def as_int(value: int) -> int:
    """Return an int. Raises CelError if it does not fit."""
    if not INT_MIN <= value <= INT_MAX:
        raise CelError("integer overflow")
    return int(value)


def as_uint(value: int) -> UInt:
    """Return a uint. Raises CelError if it does not fit."""
    if not 0 <= value <= UINT_MAX:
        raise CelError("unsigned integer overflow")
    return UInt(value)


def as_double(text: str) -> float:
    """Return the number of a string. Raises CelError."""
    try:
        if len(text) > 1024 or text != text.strip() or "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise CelError("type conversion error from 'string' to 'double'") from None


def duration_of(text: str) -> Duration:
    """Return the duration in Go's notation. Raises CelError."""
    sign, rest = (-1 if text[:1] == "-" else 1), text[1:] if text[:1] in ("+", "-") else text
    total, at = 0, 0
    while len(rest) <= 256 and (part := _PART.match(rest, at)):
        whole, _, fraction = part[1].partition(".")
        unit = _UNITS[part[2]]
        total += int(whole or 0) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
        at = part.end()
    if rest != "0" and (not rest or at != len(rest)):
        raise CelError(f'time: invalid duration "{text[:256]}"')
    if total > INT_MAX:
        raise CelError("duration overflow")
    return Duration(sign * total)


def timestamp_of(text: str) -> Timestamp:
    """Return the timestamp in RFC 3339. Raises CelError."""
    found = _RFC3339.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, found.groups()[:6])
        seconds = int((datetime(year, month, day, hour, minute, second, tzinfo=UTC) - EPOCH).total_seconds())
        zone = found[8]
        if zone != "Z":
            shift = int(zone[1:3]) * 3600 + int(zone[4:]) * 60
            seconds += shift if zone[0] == "-" else -shift
    except ValueError:
        raise CelError(f'invalid timestamp "{text[:64]}"') from None
    return bounded(seconds * SECOND + int((found[7] or "0").ljust(9, "0")))


def bounded(nanos: int) -> Timestamp:
    """Return a timestamp. Raises CelError outside the years 1 to 9999."""
    if not FIRST <= nanos <= LAST:
        raise CelError("timestamp overflow")
    return Timestamp(nanos)


def shown(value: Any) -> str:
    """Return a map's key, an index or a scalar as cel-go names it in errors."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:256] if isinstance(value, str | int | float) else type_name(value)
