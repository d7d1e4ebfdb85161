"""Fencing: nothing is written on behalf of a leadership that may have passed on to another replica.

A leader's fence is open until a moment that lies before any other replica may take the lease over, and is moved on with each renewal.
The client looks at it at the last moment, right before the bytes of a write leave. Frozen anywhere before that and resumed later, the
process finds the fence closed. What is left, a freeze between that look and the system call, meets the resourceVersions
that writes carry.

The fence goes with the context (contextvars): all tasks and threads that a leader starts have it, providers included. A provider
that writes by other means than `Client` calls `check()` before each write.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

from apiserver.client.errors import ApiException

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Fence", "Fenced", "check", "current", "uptime"]


class Fenced(ApiException):
    """The write was not sent: this replica does not lead any more, or cannot know it. status 0."""

    def __init__(self) -> None:
        super().__init__(0, "NotLeading", "nothing is written: the leadership was not renewed in time")


def uptime() -> float:
    """Seconds since the machine was started, those asleep included: what other machines see pass, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """Closed at first. `clock` gives seconds, never goes back, and does not stop while the machine sleeps."""

    def __init__(self, clock: Callable[[], float] = uptime) -> None:
        self.clock = clock
        self._until = float("-inf")

    def open_until(self, moment: float) -> None:
        """Writes may be sent up to this moment of the clock, and not after it."""
        self._until = moment

    def close(self) -> None:
        """No more writes."""
        self._until = float("-inf")

    def check(self) -> None:
        """Raises Fenced unless open."""
        if self.clock() >= self._until:
            raise Fenced


current: ContextVar[Fence | None] = ContextVar("fence", default=None)
"""The fence that this task's writes are under; None where nobody else could lead."""


def check() -> None:
    """To be called right before a write is sent. Raises Fenced."""
    if (fence := current.get()) is not None:
        fence.check()
