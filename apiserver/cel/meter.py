"""Charge the work of an expression, in the units of cel-go, and end it at its limit.

Work is charged before it is done, so no work beyond a limit begins.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PER_CALL = 1_000_000
"""The largest cost of one expression."""
BUDGET = 10_000_000
"""The largest cost of all expressions of one policy and binding together."""
MATCH_BUDGET = 2_500_000
"""The largest cost of all matchConditions of one policy or webhook together."""
STEP = 256
"""The units that are charged between two calls of `pace`."""
TURN = 0.002
"""The seconds of work after which the thread releases the GIL to others."""


class Cancelled(Exception):
    """An expression cost too much. Unlike a CelError, no operator of CEL absorbs it."""


class Heavy(Exception):
    """An expression is too much work for the event loop."""


class Meter:
    """Counts the units `spent`, and periodically calls `pace` with the units since its last
    call."""

    __slots__ = ("_limit", "_next", "_paced", "pace", "spent")

    def __init__(self, pace: Callable[[int], None], limit: int = PER_CALL) -> None:
        self.pace, self._limit = pace, limit
        self.spent, self._paced, self._next = 0, 0, min(STEP, limit)

    def charge(self, units: int) -> None:
        """Charge work that is about to be done. Raises Cancelled or what `pace` raises."""
        self.spent += units
        if self.spent > self._next:
            self._check()

    def _check(self) -> None:
        if self.spent > self._limit:
            raise Cancelled("operation cancelled: actual cost limit exceeded")
        since, self._paced = self.spent - self._paced, self.spent
        self._next = min(self.spent + STEP, self._limit)
        self.pace(since)


def light(allowance: int) -> Callable[[int], None]:
    """Return a pace for the event loop, which raises Heavy when the allowance is spent."""
    left = allowance

    def pace(units: int) -> None:
        nonlocal left
        left -= units
        if left < 0:
            raise Heavy

    return pace


def yielding(stopped: threading.Event, seconds: float) -> Callable[[int], None]:
    """Return a pace for a thread, which lets the event loop run.

    It ends the work when it is stopped, and after `seconds` of its own."""
    turn = time.monotonic()
    end = time.thread_time() + seconds

    def pace(units: int) -> None:
        nonlocal turn
        if stopped.is_set() or time.thread_time() > end:
            raise Cancelled("operation interrupted")
        if units > PER_CALL // 100 or time.monotonic() - turn > TURN:
            time.sleep(TURN / 2)
            turn = time.monotonic()

    return pace


def traversal(size: int, factor: float = 0.1) -> int:
    """Return the cost of reading a string, a list or a map of this size."""
    return -int(-size * factor // 1)
