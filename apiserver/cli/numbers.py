"""Read numbers of flags within bounds. argparse prints the error with the flag's name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


def between(least: Number, most: Number, what: str) -> Callable[[str], Number]:
    """Return the `type` of a flag whose value is a number, whole if `least` is. `what` names it."""

    def read(text: str) -> Number:
        try:
            number = type(least)(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text}: {what} is a number from {_shown(least)} to {_shown(most)}")
        return number

    return read


def _shown(number: float) -> str:
    """Return a bound without rounding, and without the zeros of a float."""
    return f"{number:g}" if isinstance(number, float) else str(number)


port = between(0, 65535, "a port")
