"""Read the CPU time of processes from their own clocks: in nanoseconds, including threads that have
ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEDULER = 2
"""CPUCLOCK_SCHED of linux/posix-timers.h: user and system time as the scheduler counts it, not in
ticks."""


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU seconds that these processes have used so far. Raises OSError if one has
    ended."""
    # This equals clock_getcpuclockid(3) on Linux; Python has it for threads only.
    return sum(time.clock_gettime(~pid << 3 | SCHEDULER) for pid in pids)
