"""Contain the cases by area: a module each, with a tuple CASES."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conformance.case import Case

__all__ = ["all_cases"]


def all_cases() -> dict[str, Case]:
    """Return every case under `area/name`."""
    found: dict[str, Case] = {}
    for module in pkgutil.iter_modules(__path__):
        for case in importlib.import_module(f"{__name__}.{module.name}").CASES:
            name = f"{module.name.replace('_', '-')}/{case.name.replace(' ', '-')}"
            if name in found:
                raise ValueError(f"two cases are called {name}")
            found[name] = case
    return found
