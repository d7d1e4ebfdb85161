"""Provide time as an interface: monotonic seconds and timers, and wall-clock timestamps for
objects.

Tests use a fake clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A pending callback."""

    def cancel(self) -> None:
        """Cancel the callback. Has no effect if it has run."""


class Clock(Protocol):
    """Monotonic time in seconds, and delayed callbacks."""

    def time(self) -> float:
        """Return the seconds since some fixed point. They never decrease."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call the callback in the event loop after `delay` seconds."""


class LoopClock:
    """The clock of the running event loop."""

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(delay, callback)


def exponential_delay(failures: int, first: float, most: float) -> float:
    """Return the delay in seconds after `failures` failures: `first`, doubled for each, up to
    `most`."""
    return min(most, first * 2.0 ** min(failures, 32))


class Backoff:
    """Exponential delays with jitter.

    They begin at `first` seconds and double up to `most`. Each is drawn from the upper half of its
    range."""

    def __init__(self, first: float = 0.5, most: float = 30.0, rng: Callable[[], float] = random.random) -> None:
        self._first, self._most, self._rng = first, most, rng
        self.failures = 0

    def next(self) -> float:
        """Return the next delay in seconds."""
        full = exponential_delay(self.failures, self._first, self._most)
        self.failures += 1
        return full * (0.5 + 0.5 * self._rng())

    def reset(self) -> None:
        """Start again from the first delay, after a success."""
        self.failures = 0


def timestamp(when: datetime | int | None = None) -> str:
    """Return a time, or the present one, as RFC 3339 in UTC and whole seconds, like metav1.Time.

    An integer means the seconds since 1970."""
    if isinstance(when, int):
        when = datetime.fromtimestamp(when, UTC)
    return (when or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_of(text: str) -> int:
    """Return the whole seconds since 1970 of a time in RFC 3339."""
    return int(datetime.fromisoformat(text).timestamp())
