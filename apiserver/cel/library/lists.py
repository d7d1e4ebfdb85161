"""Provide functions of lists, and of lists as sets."""

from __future__ import annotations

from functools import cmp_to_key
from typing import Any

from apiserver.cel.meter import Meter
from apiserver.cel.operators import add, compared, equal, member_of
from apiserver.cel.registry import function, member
from apiserver.cel.values import CelError, Duration, UInt, type_name

_ZERO = {"int": 0, "uint": UInt(0), "double": 0.0, "google.protobuf.Duration": Duration(0)}


@member("isSorted", "list", cost=lambda value: len(value))
def _is_sorted(meter: Meter, value: list[Any]) -> bool:
    return all(compared(value[index], value[index + 1], meter) <= 0 for index in range(len(value) - 1))


@member("sum", "list", cost=lambda value: len(value))
def _sum(meter: Meter, value: list[Any]) -> Any:
    total = _ZERO.get(type_name(value[0])) if value else 0
    if total is None:
        raise CelError("no such overload")
    for one in value:
        total = add(total, one, meter)
    return total


@member("min", "list", cost=lambda value: len(value))
def _min(meter: Meter, value: list[Any]) -> Any:
    return _extreme("min", value, 1, meter)


@member("max", "list", cost=lambda value: len(value))
def _max(meter: Meter, value: list[Any]) -> Any:
    return _extreme("max", value, -1, meter)


def _extreme(name: str, value: list[Any], worse: int, meter: Meter) -> Any:
    if not value:
        raise CelError(f"{name} called on empty list")
    best = value[0]
    for one in value[1:]:
        if compared(best, one, meter) == worse:
            best = one
    return best


@member("indexOf", "list", "dyn", cost=lambda value, one: len(value))
def _index_of(meter: Meter, value: list[Any], wanted: Any) -> int:
    return next((index for index, one in enumerate(value) if equal(one, wanted, meter)), -1)


@member("lastIndexOf", "list", "dyn", cost=lambda value, one: len(value))
def _last_index_of(meter: Meter, value: list[Any], wanted: Any) -> int:
    return next((index for index in range(len(value) - 1, -1, -1) if equal(value[index], wanted, meter)), -1)


@member("slice", "list", "int", "int", cost=lambda value, start, end: 11 + max(0, min(end, len(value)) - start))
def _slice(meter: Meter, value: list[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise CelError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if len(value) < end:
        raise CelError(f"cannot slice({start}, {end}), list is length {len(value)}")
    return value[start:end]


@function("lists.range", "int", cost=lambda count: 11 + max(0, count))
def _range(meter: Meter, count: int) -> list[int]:
    return list(range(count))


@member("reverse", "list", cost=lambda value: 11 + len(value))
def _reverse(meter: Meter, value: list[Any]) -> list[Any]:
    return value[::-1]


member("flatten", "list", cost=lambda value: 11 + len(value))(lambda meter, value: _flattened(value, 1, meter))
member("flatten", "list", "int", cost=lambda value, depth: 11 + len(value))(lambda meter, value, depth: _flattened(value, depth, meter))


def _flattened(value: list[Any], depth: int, meter: Meter) -> list[Any]:
    if depth < 0:
        raise CelError("level must be non-negative")
    found: list[Any] = []
    for one in value:
        meter.charge(1)
        found += _flattened(one, depth - 1, meter) if isinstance(one, list) and depth else [one]
    return found


def _square(value: list[Any]) -> int:
    factor = 2.1 if value and isinstance(value[0], str | bytes) else 2.0
    return int(len(value) ** 2 * factor) + 11


@member("distinct", "list", cost=_square)
def _distinct(meter: Meter, value: list[Any]) -> list[Any]:
    found: list[Any] = []
    for one in value:
        meter.charge(len(found) // 10)
        if not member_of(found, one, meter):
            found.append(one)
    return found


@member("sort", "list", cost=_square)
def _sort(meter: Meter, value: list[Any]) -> list[Any]:
    return _sorted(meter, value, value)


def sort_by(meter: Meter, value: Any, keys: list[Any]) -> list[Any]:
    """Return a list in the order of its keys. Raises CelError."""
    if not isinstance(value, list):
        raise CelError(f"no such overload: sortBy({type_name(value)})")
    meter.charge(_square(keys))
    return _sorted(meter, value, keys)


def _sorted(meter: Meter, value: list[Any], keys: list[Any]) -> list[Any]:
    if keys and any(type(key) is not type(keys[0]) for key in keys):
        raise CelError("list elements must have the same type")
    if keys and not isinstance(keys[0], str | bytes | int | float) and not hasattr(keys[0], "nanos"):
        raise CelError("list elements must be comparable")

    def compare(left: int, right: int) -> int:
        return compared(keys[left], keys[right], meter)

    order: list[int] = sorted(range(len(keys)), key=cmp_to_key(compare))
    return [value[index] for index in order]


def _matrix(left: list[Any], right: list[Any]) -> int:
    return 1 + len(left) * len(right)


@function("sets.contains", "list", "list", cost=_matrix)
def _contains(meter: Meter, value: list[Any], part: list[Any]) -> bool:
    return all(member_of(value, one, meter) for one in part)


@function("sets.equivalent", "list", "list", cost=lambda left, right: 2 * _matrix(left, right))
def _equivalent(meter: Meter, left: list[Any], right: list[Any]) -> bool:
    return all(member_of(left, one, meter) for one in right) and all(member_of(right, one, meter) for one in left)


@function("sets.intersects", "list", "list", cost=_matrix)
def _intersects(meter: Meter, left: list[Any], right: list[Any]) -> bool:
    return any(member_of(right, one, meter) for one in left)
