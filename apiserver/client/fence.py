"""Prevent writes on behalf of a leadership that may have passed to another replica (fencing).

A leader's fence is open until a moment before which no other replica can take over the lease. Each
renewal postpones this moment. The client checks the fence at the last moment, right before the
bytes of a write are sent. A process that is frozen before that and resumed later finds the fence
closed. The remaining case, a freeze between the check and the system call, is covered by the
resourceVersions in writes.

The fence belongs to the context (contextvars): all tasks and threads that a leader starts have it,
including providers. A provider that does not write through `Client` calls `check()` before each
write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar

from apiserver.client.errors import ApiException


class Fenced(ApiException):
    """The write was not sent, because this replica no longer leads, or cannot know whether it
    leads.

    The status is 0."""

    def __init__(self) -> None:
        super().__init__(0, "NotLeading", "nothing is written: the leadership was not renewed in time")


def uptime() -> float:
    """Return the seconds since the machine was started, including sleep.

    Other machines see this time pass, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """A fence, closed at first.

    `clock` returns seconds, never decreases, and does not stop while the machine sleeps."""

    def __init__(self, clock: Callable[[], float] = uptime) -> None:
        self.clock = clock
        self._until = float("-inf")

    def open_until(self, moment: float) -> None:
        """Allow writes until this moment of the clock."""
        self._until = moment

    def close(self) -> None:
        """Forbid all writes."""
        self._until = float("-inf")

    def check(self) -> None:
        """Raise Fenced unless the fence is open."""
        if self.clock() >= self._until:
            raise Fenced


current: ContextVar[Fence | None] = ContextVar("fence", default=None)
"""The fence of this task's writes, or None if no other replica could lead."""


def check() -> None:
    """Raise Fenced if the fence of this context is closed. Call this right before a write is
    sent."""
    if (fence := current.get()) is not None:
        fence.check()
