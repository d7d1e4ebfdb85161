"""Compute with CEL's operators: equality over all types, order and arithmetic within them."""

from __future__ import annotations

import math
from typing import Any

from apiserver.cel.meter import Meter, traversal
from apiserver.cel.registry import sized
from apiserver.cel.values import CelError, Duration, Optional, Timestamp, UInt, as_int, as_uint, bounded, shown, type_name

_COMPARABLE = (str, bytes, bool, Duration, Timestamp)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Any, right: Any, meter: Meter) -> bool:
    """Return whether two values are equal. Values of different types are equal only as numbers."""
    if _number(left) and _number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and _charged(left, meter) and all(equal(a, b, meter) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict):
        return (
            len(left) == len(right)
            and _charged(left, meter)
            and all(_has(right, key, meter) and equal(value, right[key], meter) for key, value in left.items())
        )
    if isinstance(left, Optional):
        return left.present is right.present and equal(left.value, right.value, meter)
    if isinstance(left, str | bytes):
        meter.charge(traversal(min(len(left), len(right)), 0.01))
    return bool(left == right)


def _charged(container: list[Any] | dict[Any, Any], meter: Meter) -> bool:
    """Charge the elements that cel-go's tracker leaves out."""
    meter.charge(traversal(len(container)))
    return True


def _has(container: dict[Any, Any], key: Any, meter: Meter) -> bool:
    """Return whether a map has a key. The comparison with the map's own keys is charged."""
    meter.charge(traversal(sized(key), 0.01))
    return key in container


def equality_cost(left: Any, right: Any) -> int:
    """Return cel-go's cost of a comparison."""
    return traversal(min(sized(left), sized(right)))


def compared(left: Any, right: Any, meter: Meter) -> int:
    """Return -1, 0 or 1. Raises CelError for values without an order."""
    if _number(left) and _number(right):
        if math.isnan(left) or math.isnan(right):
            raise CelError("NaN values cannot be ordered")
    elif type(left) is not type(right) or not isinstance(left, _COMPARABLE):
        raise CelError("no such overload")
    meter.charge(equality_cost(left, right))
    return int(left > right) - int(left < right)


def ordered(operator: str, left: Any, right: Any, meter: Meter) -> bool:
    """Return the value of <, <=, > or >=."""
    order = compared(left, right, meter)
    return {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def contains(needle: Any, haystack: Any, meter: Meter) -> bool:
    """Return the value of `in`."""
    if isinstance(haystack, dict):
        meter.charge(1)
        return key_of(needle) in haystack
    if not isinstance(haystack, list):
        raise CelError("no such overload")
    meter.charge(len(haystack))
    return member_of(haystack, needle, meter)


def member_of(haystack: list[Any], needle: Any, meter: Meter) -> bool:
    """Return whether a list has an element."""
    return any(equal(one, needle, meter) for one in haystack)


class _NoKey:
    """A value that is never the key of a map."""


def key_of(value: Any) -> Any:
    """Return a value as a key of Python's maps, in which True is 1."""
    if isinstance(value, bool):
        return _BOOLEANS[value]
    if isinstance(value, float) and not value.is_integer():
        return _NoKey
    return value if isinstance(value, str | int | float) else _NoKey


class _Boolean(str):
    """A boolean that is a key of a map literal."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


_BOOLEANS = {False: _Boolean("false"), True: _Boolean("true")}


def key_value(key: Any) -> Any:
    """Return the value of a map's key."""
    return key == _BOOLEANS[True] if isinstance(key, _Boolean) else key


def item(container: Any, index: Any) -> Any:
    """Return an element. Raises CelError if there is none."""
    found = picked(container, index)
    if found is not ABSENT:
        return found
    if isinstance(container, list):
        if not _number(index) or (isinstance(index, float) and not index.is_integer()):
            raise CelError(f"unsupported index type '{type_name(index)}' in list")
        raise CelError(f"index out of bounds: {shown(index)}")
    raise CelError(f"no such key: {shown(index)}")


class _Absent:
    pass


ABSENT = _Absent()


def picked(container: Any, index: Any) -> Any:
    """Return an element, or ABSENT."""
    if isinstance(container, dict):
        return container.get(key_of(index), ABSENT)
    if isinstance(container, list) and _number(index) and (not isinstance(index, float) or index.is_integer()):
        return container[int(index)] if 0 <= index < len(container) else ABSENT
    return ABSENT


def negated(value: Any) -> Any:
    """Return -value."""
    if isinstance(value, float):
        return -value
    if isinstance(value, Duration):
        return Duration(as_int(-value.nanos))
    if type(value) is not int:
        raise CelError("no such overload")
    return as_int(-value)


def add(left: Any, right: Any, meter: Meter) -> Any:
    """Return left + right."""
    if type(left) is type(right):
        if isinstance(left, str | bytes):
            meter.charge(traversal(len(left) + len(right)))
            return left + right
        if isinstance(left, list):
            meter.charge(1 + (len(left) + len(right)) // 100)
            return left + right
    meter.charge(1)
    if isinstance(left, Timestamp) and isinstance(right, Duration):
        return bounded(left.nanos + right.nanos)
    if isinstance(left, Duration) and isinstance(right, Timestamp):
        return bounded(left.nanos + right.nanos)
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(as_int(left.nanos + right.nanos))
    return _whole(left, right, "+")


def subtract(left: Any, right: Any, meter: Meter) -> Any:
    """Return left - right."""
    meter.charge(1)
    if isinstance(left, Timestamp) and isinstance(right, Duration):
        return bounded(left.nanos - right.nanos)
    if isinstance(left, Duration | Timestamp) and type(left) is type(right):
        return Duration(as_int(left.nanos - right.nanos))
    return _whole(left, right, "-")


def multiply(left: Any, right: Any, meter: Meter) -> Any:
    """Return left * right."""
    meter.charge(1)
    return _whole(left, right, "*")


def _whole(left: Any, right: Any, operator: str) -> Any:
    kind = type(left)
    if kind is not type(right) or kind not in (int, UInt, float):
        raise CelError("no such overload")
    found = left + right if operator == "+" else left - right if operator == "-" else left * right
    return found if kind is float else as_uint(found) if kind is UInt else as_int(found)


def divide(left: Any, right: Any, meter: Meter) -> Any:
    """Return left / right, rounded towards zero for whole numbers."""
    meter.charge(1)
    if isinstance(left, float) and isinstance(right, float):
        return (
            left / right if right else math.nan if not left or math.isnan(left) else math.copysign(math.inf, left * math.copysign(1, right))
        )
    quotient, _ = _divided(left, right, "division by zero")
    return quotient


def remainder(left: Any, right: Any, meter: Meter) -> Any:
    """Return left % right, with the sign of left."""
    meter.charge(1)
    _, rest = _divided(left, right, "modulus by zero")
    return rest


def _divided(left: Any, right: Any, zero: str) -> tuple[Any, Any]:
    kind = type(left)
    if kind is not type(right) or kind not in (int, UInt):
        raise CelError("no such overload")
    if right == 0:
        raise CelError(zero)
    quotient = abs(left) // abs(right) * (-1 if (left < 0) != (right < 0) else 1)
    fit = as_uint if kind is UInt else as_int
    return fit(quotient), fit(left - quotient * right)


ARITHMETIC = {"_+_": add, "_-_": subtract, "_*_": multiply, "_/_": divide, "_%_": remainder}
