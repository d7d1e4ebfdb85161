"""Provide CEL's standard functions: sizes, conversions and time."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apiserver.apis.bounded import bounded_lru_cache
from apiserver.cel.meter import Meter, traversal
from apiserver.cel.registry import function, member, reads
from apiserver.cel.values import (
    INT_MAX,
    INT_MIN,
    SECOND,
    UINT_MAX,
    CelError,
    Duration,
    Timestamp,
    TypeValue,
    UInt,
    as_double,
    as_int,
    as_uint,
    bounded,
    duration_of,
    timestamp_of,
    type_name,
)

_WHOLE = re.compile(r"[+-]?[0-9]{1,32}")
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)")
_ZONE = re.compile(r"[A-Za-z0-9_+-]{1,32}(/[A-Za-z0-9_+-]{1,32}){0,2}")


def _product(text: str, other: str) -> int:
    return traversal(len(text)) * traversal(len(other))


for _kind in ("string", "bytes", "list", "map"):
    function("size", _kind)(lambda meter, value: len(value))
    member("size", _kind)(lambda meter, value: len(value))
member("contains", "string", "string", cost=_product)(lambda meter, text, other: other in text)
member("startsWith", "string", "string", cost=reads())(lambda meter, text, other: text.startswith(other))
member("endsWith", "string", "string", cost=reads())(lambda meter, text, other: text.endswith(other))
function("type", "dyn")(lambda meter, value: TypeValue(type_name(value)))
function("dyn", "dyn")(lambda meter, value: value)


@function("bool", "string")
def _bool(meter: Meter, text: str) -> bool:
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise CelError("type conversion error from 'string' to 'bool'")


function("bool", "bool")(lambda meter, value: value)
function("bytes", "bytes")(lambda meter, value: value)
function("bytes", "string", cost=reads())(lambda meter, text: text.encode())
function("double", "double")(lambda meter, value: value)
function("double", "int")(lambda meter, value: float(value))
function("double", "uint")(lambda meter, value: float(value))
function("double", "string", cost=reads())(lambda meter, text: as_double(text))
function("duration", "string")(lambda meter, text: duration_of(text))
function("duration", "google.protobuf.Duration")(lambda meter, value: value)
function("duration", "int")(lambda meter, value: Duration(value))
function("timestamp", "string")(lambda meter, text: timestamp_of(text))
function("timestamp", "google.protobuf.Timestamp")(lambda meter, value: value)
function("timestamp", "int")(lambda meter, value: bounded(value * SECOND))
function("int", "int")(lambda meter, value: value)
function("int", "uint")(lambda meter, value: as_int(value))
function("int", "double")(lambda meter, value: _truncated(value, -(2**63), 2**63, "integer overflow"))
function("int", "google.protobuf.Timestamp")(lambda meter, value: value.nanos // SECOND)
function("int", "google.protobuf.Duration")(lambda meter, value: value.nanos)
function("uint", "uint")(lambda meter, value: value)
function("uint", "int")(lambda meter, value: as_uint(value))
function("uint", "double")(lambda meter, value: UInt(_truncated(value, 0, 2**64, "unsigned integer overflow")))


@function("int", "string")
def _int(meter: Meter, text: str) -> int:
    return int(_parsed(text, "int", INT_MIN, INT_MAX))


@function("uint", "string")
def _uint(meter: Meter, text: str) -> UInt:
    return UInt(_parsed(text, "uint", 0, UINT_MAX))


def _parsed(text: str, name: str, low: int, high: int) -> int:
    if not _WHOLE.fullmatch(text) or not low <= int(text) <= high:
        raise CelError(f"type conversion error from 'string' to '{name}'")
    return int(text)


def _truncated(value: float, low: int, high: int, error: str) -> int:
    if not math.isfinite(value) or not low <= value < high:
        raise CelError(error)
    return int(value)


def shortest(value: float) -> str:
    """Return a double as Go's format %g does with the fewest digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value and not 1e-4 <= abs(value) < 1e6:
        digits = "".join(map(str, Decimal(repr(value)).normalize().as_tuple().digits))
        exponent = Decimal(repr(value)).adjusted()
        return f"{'-' if value < 0 else ''}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{exponent:+03}"
    return f"{value:.0f}" if value.is_integer() else f"{value!r}"


for _name in ("string", "int", "uint", "google.protobuf.Timestamp", "google.protobuf.Duration"):
    function("string", _name)(lambda meter, value: str(value))
function("string", "bool")(lambda meter, value: "true" if value else "false")
function("string", "double")(lambda meter, value: shortest(value))


@function("string", "bytes", cost=reads())
def _string(meter: Meter, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None


@bounded_lru_cache(128, 256)
def _zone(name: str) -> tzinfo:
    offset = _OFFSET.fullmatch(name)
    try:
        if offset is not None:
            shift = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            return timezone(-shift if offset[1] == "-" else shift)
        if _ZONE.fullmatch(name):
            return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        pass
    raise CelError(f"unknown time zone {name[:64]}")


def _local(value: Timestamp, zone: str = "UTC") -> datetime:
    try:
        return value.when().astimezone(_zone(zone))
    except OverflowError:
        raise CelError("timestamp overflow") from None


def _getter(name: str, compute: Any) -> None:
    member(name, "google.protobuf.Timestamp")(lambda meter, value: compute(_local(value)))
    member(name, "google.protobuf.Timestamp", "string")(lambda meter, value, zone: compute(_local(value, zone)))


for _name, _compute in {
    "getFullYear": lambda when: when.year,
    "getMonth": lambda when: when.month - 1,
    "getDayOfYear": lambda when: when.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda when: when.day - 1,
    "getDate": lambda when: when.day,
    "getDayOfWeek": lambda when: when.isoweekday() % 7,
    "getHours": lambda when: when.hour,
    "getMinutes": lambda when: when.minute,
    "getSeconds": lambda when: when.second,
}.items():
    _getter(_name, _compute)
for _name, _size in {"getHours": 3600 * SECOND, "getMinutes": 60 * SECOND, "getSeconds": SECOND}.items():
    member(_name, "google.protobuf.Duration")(lambda meter, value, size=_size: int(value.nanos / size))
member("getMilliseconds", "google.protobuf.Timestamp")(lambda meter, value: value.nanos % SECOND // 10**6)
member("getMilliseconds", "google.protobuf.Timestamp", "string")(lambda meter, value, zone: value.nanos % SECOND // 10**6)
member("getMilliseconds", "google.protobuf.Duration")(lambda meter, value: abs(value.nanos) % SECOND // 10**6)
