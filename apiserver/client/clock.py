"""Time as a seam: monotonic seconds and timers for queues, wall-clock stamps for objects. Tests put a fake in its place."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Backoff", "Clock", "LoopClock", "Timer", "timestamp"]


class Timer(Protocol):
    """A pending callback."""

    def cancel(self) -> None:
        """Forget it; harmless when it has run."""


class Clock(Protocol):
    """Monotonic time in seconds, and callbacks at a later time."""

    def time(self) -> float:
        """Seconds since some fixed point; never goes back."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Runs the callback after so many seconds, in the event loop."""


class LoopClock:
    """The running event loop's own clock."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(delay, callback)


class Backoff:
    """Exponential waiting times with jitter: from `first` seconds, doubled up to `most`, each drawn from its upper half."""

    def __init__(self, first: float = 0.5, most: float = 30.0, rng: Callable[[], float] = random.random) -> None:
        self._first, self._most, self._rng = first, most, rng
        self.failures = 0

    def next(self) -> float:
        """The next waiting time in seconds."""
        full = min(self._most, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return full * (0.5 + 0.5 * self._rng())

    def reset(self) -> None:
        """Start again from the first waiting time: it worked."""
        self.failures = 0


def timestamp(when: datetime | None = None) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time is written."""
    return (when or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
