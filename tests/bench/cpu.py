"""CPU time of processes, by their own clocks: to the nanosecond, threads that have ended
included."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["cpu_seconds"]

SCHEDULER = 2
"""CPUCLOCK_SCHED of linux/posix-timers.h: user and system time as the scheduler counts it, not in
ticks."""


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes have used up so far, in seconds. Raises OSError when one is gone."""
    # What clock_getcpuclockid(3) does on Linux; Python has it for threads only.
    return sum(time.clock_gettime(~pid << 3 | SCHEDULER) for pid in pids)
