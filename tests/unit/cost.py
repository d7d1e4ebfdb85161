"""Measure the cost of work, for tests of how the cost grows."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def cost(work: Callable[[], object]) -> float:
    """Return the seconds of CPU time of this thread, the best of five.

    The garbage collector is off, because its work depends on the rest of the process."""

    def once() -> float:
        started = time.thread_time()
        work()
        return time.thread_time() - started

    gc.disable()
    try:
        return min(once() for _ in range(5))
    finally:
        gc.enable()
        gc.collect()
