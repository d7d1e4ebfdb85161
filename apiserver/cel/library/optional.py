"""Provide optional values."""

from __future__ import annotations

from typing import Any

from apiserver.cel.meter import Meter
from apiserver.cel.registry import function, member
from apiserver.cel.values import NONE, CelError, Duration, Optional, Timestamp, UInt

ZEROES = (False, 0, UInt(0), 0.0, "", b"", None, Duration(0), Timestamp(0))

function("optional.none")(lambda meter: NONE)
function("optional.of", "dyn")(lambda meter, value: Optional(True, value))
member("hasValue", "optional_type")(lambda meter, value: value.present)
member("or", "optional_type", "optional_type")(lambda meter, value, other: value if value.present else other)
member("orValue", "optional_type", "dyn")(lambda meter, value, other: value.value if value.present else other)
member("first", "list")(lambda meter, value: Optional(True, value[0]) if value else NONE)
member("last", "list")(lambda meter, value: Optional(True, value[-1]) if value else NONE)


@function("optional.ofNonZeroValue", "dyn")
def _of_non_zero(meter: Meter, value: Any) -> Optional:
    zero = not value if isinstance(value, list | dict) else any(type(value) is type(one) and value == one for one in ZEROES)
    return NONE if zero else Optional(True, value)


@member("value", "optional_type")
def _value(meter: Meter, value: Optional) -> Any:
    if not value.present:
        raise CelError("optional.none() dereference")
    return value.value
