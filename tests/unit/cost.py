"""What some work costs, for tests of how that grows."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cost"]


def cost(work: Callable[[], object]) -> float:
    """Seconds of CPU of this thread, the best of five, without the garbage collector, whose work
    depends on the rest of the process."""

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
