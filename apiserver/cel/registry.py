"""Register CEL's functions by name and argument types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apiserver.cel.meter import Meter, traversal
from apiserver.cel.values import CelError, type_name

Implementation = Callable[..., Any]
Cost = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Overload:
    """One signature. `run` gets the meter and the arguments. `cost` is charged before."""

    types: tuple[str, ...]
    run: Implementation
    cost: Cost


FUNCTIONS: dict[tuple[str, bool], list[Overload]] = {}
"""The overloads by name and whether they have a receiver, which is their first argument."""


_TERSE = {**dict.fromkeys(("contains", "startsWith", "endsWith", "matches"), "no such overload"), "size": "no such overload: size"}
"""cel-go's messages for its own functions, whose overloads it does not check by their
declarations."""


def unit(*args: Any) -> int:
    """Return the cost of a simple function."""
    return 1


def sized(value: Any) -> int:
    """Return the size that costs depend on: the length of a string, list or map, otherwise 1."""
    return len(value) if isinstance(value, str | bytes | list | dict) else 1


def reads(factor: float = 0.1) -> Cost:
    """Return the cost of functions that read their first argument."""

    def cost(first: Any, *rest: Any) -> int:
        return traversal(sized(first), factor)

    return cost


def function(name: str, *types: str, cost: Cost = unit) -> Callable[[Implementation], Implementation]:
    """Register a global function. The type "dyn" is any."""
    return _registers(name, False, types, cost)


def member(name: str, *types: str, cost: Cost = unit) -> Callable[[Implementation], Implementation]:
    """Register a function with a receiver, whose type is the first."""
    return _registers(name, True, types, cost)


def _registers(name: str, has_receiver: bool, types: tuple[str, ...], cost: Cost) -> Callable[[Implementation], Implementation]:
    def register(run: Implementation) -> Implementation:
        FUNCTIONS.setdefault((name, has_receiver), []).append(Overload(types, run, cost))
        return run

    return register


def call(name: str, overloads: list[Overload], meter: Meter, args: list[Any]) -> Any:
    """Call the overload that fits the arguments. Raises CelError."""
    types = tuple(map(type_name, args))
    for one in overloads:
        if one.types == types or (len(one.types) == len(types) and all(map(_fits, one.types, types))):
            meter.charge(one.cost(*args))
            return one.run(meter, *args)
    raise CelError(_TERSE.get(name) or f"no such overload: {name}({', '.join(types)})")


def _fits(wanted: str, given: str) -> bool:
    return wanted in ("dyn", given)
