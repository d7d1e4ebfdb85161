"""Find how a flavor differs from the one that a machine was created from.

A machine is never changed while a Workload has it."""

from __future__ import annotations

from typing import Any

from apiserver.apis.quantity import parse_quantity
from controllers.providers.machines.flavors.model import Flavor

NOT_OF_THE_MACHINE = {"capacity", "labels", "name"}


def differences(made_from: Flavor, now: Flavor) -> list[str]:
    """Return what has changed since, such as "cpu 2 → 4".

    The list is empty if a machine created now would be the same. Labels and capacity do not
    count."""
    before, after = made_from.encode(), now.encode()
    fields = sorted((before.keys() | after.keys()) - NOT_OF_THE_MACHINE)
    return [
        _change(field, before.get(field), after.get(field)) for field in fields if not _same(field, before.get(field), after.get(field))
    ]


def _same(field: str, before: Any, after: Any) -> bool:
    if field in {"disk", "memory"}:
        return parse_quantity(before) == parse_quantity(after)
    return bool(before == after)


def _change(field: str, before: Any, after: Any) -> str:
    short = not isinstance(before, dict | list) and not isinstance(after, dict | list)
    return f"{field} {_text(before)} → {_text(after)}" if short else field


def _text(value: Any) -> str:
    return "unset" if value is None else str(value)
