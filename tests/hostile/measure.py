"""Measure the CPU time of work in its thread, and decide whether it is too much, or grows too fast.

Machines differ, and are shared. So the value of one second is measured with a fixed piece of work,
in the same run, right before it is needed.
"""

from __future__ import annotations

import asyncio
import gc
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HANDLE: Any = asyncio.Handle
"""The class whose private _run begins and ends a step."""
HELD = 0.05
"""The seconds for which one step may hold a loop, on a machine on which the fixed work takes
NOMINAL seconds."""
NOMINAL = 0.012
PER_DOUBLING = {2: 3.2, 3: 2.8, 4: 2.6}
"""The factor by which the cost may grow when the input doubles, on the average of this many
doublings.

The more doublings agree, the lower it is. n log n stays far below, n² is at 4."""
COUNTS = 0.004
"""Costs below this, on the same machine, are ignored: they are the request's own."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one piece of work: CPU seconds of its longest step, and of everything in all its
    threads."""

    longest: float
    total: float

    def least(self, other: Cost) -> Cost:
        """Return the lesser of both: the rest is caused by the machine."""
        return Cost(min(self.longest, other.longest), min(self.total, other.total))


def slowness() -> float:
    """Return how many times slower this machine is now than the reference machine of the bounds.

    The result is 1 for faster machines."""
    return max(1.0, min(_fixed() for _ in range(3)) / NOMINAL)


def _fixed() -> float:
    found: dict[int, str] = {}
    began = time.thread_time()
    for number in range(100_000):
        found[number & 1023] = str(number)
    return time.thread_time() - began


class Steps:
    """Measures the steps of one event loop: each callback, and each part of a coroutine between two
    awaits.

    `only`: selects the measured steps."""

    def __init__(self, only: Callable[[asyncio.Handle], bool] = lambda handle: True) -> None:
        self.longest = self.total = 0.0
        self._only = only
        self._loop: asyncio.AbstractEventLoop | None = None
        self._run: Callable[[asyncio.Handle], None] = HANDLE._run

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin. Only one measurement at a time is possible in a process."""
        self._loop = loop
        HANDLE._run = lambda handle: self._timed(handle)

    def end(self) -> None:
        """Restore asyncio."""
        HANDLE._run = self._run

    def reset(self) -> None:
        """Discard what was measured so far."""
        self.longest = self.total = 0.0

    def _timed(self, handle: asyncio.Handle) -> None:
        if handle._loop is not self._loop or not self._only(handle):  # type: ignore[attr-defined] # private to the library, and not in its types
            self._run(handle)
            return
        began = time.thread_time()
        self._run(handle)
        took = time.thread_time() - began
        self.total += took
        self.longest = max(self.longest, took)


def work(action: Callable[[], Any]) -> Cost:
    """Return the cost of a function that does not wait for anything, as one step."""
    began = time.thread_time()
    action()
    took = time.thread_time() - began
    return Cost(took, took)


def grows(costs: Sequence[float], slow: float) -> str:
    """Return how the costs of an input grow faster than linearly; "" if they do not.

    Each input is twice as large as the one before."""
    for run in _runs(costs, COUNTS * slow):
        if len(run) < 3:
            continue
        ratio = (run[-1] / run[0]) ** (1 / (len(run) - 1))
        if ratio > PER_DOUBLING[min(len(run) - 1, max(PER_DOUBLING))]:
            shown = ", ".join(f"{cost * 1000:.1f}" for cost in run)
            return f"each doubling of the input costs {ratio:.1f} times as much: {shown} ms"
    return ""


def _runs(costs: Sequence[float], least: float) -> Iterator[list[float]]:
    """Yield adjacent costs that are large enough and rise.

    Inputs that are refused for their size cost less again."""
    run: list[float] = []
    for cost in costs:
        if run and cost < run[-1]:
            yield run
            run = []
        if cost >= least:
            run.append(cost)
    yield run


def resident() -> int:
    """Return the bytes of memory of this process, without garbage."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def rising(batch: Callable[[], object], batches: int = 4) -> int:
    """Return the bytes by which memory grows with each batch, in the best batch after the first.

    A leak adds memory in every batch; caches fill in the first one."""
    batch()
    least, before = math.inf, resident()
    for _ in range(batches):
        batch()
        after = resident()
        least, before = min(least, after - before), after
    return int(least)
