"""Keep freed memory in the process (glibc) instead of returning it to the kernel.

Otherwise, the next answer has to get it back page by page, which can double the cost of an answer
of some hundred KiB. With other C libraries, nothing changes. Memory that was not used for a minute
is returned. The C library itself returns only the end of the heap, and one small object there keeps
all memory before it. The module also sets how often Python collects garbage, because everything
waits for a collection.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""The parameters of mallopt(3)."""
KEPT = 64 * 1024 * 1024
"""The free bytes at the end of the heap that are kept."""
LARGE = 4 * 1024 * 1024
"""The mmap threshold in bytes: larger allocations are mapped directly. No response needs one."""

PAUSE = 60.0
"""The seconds between two checks of the process's memory."""
GROWTH = 4 * 1024 * 1024
"""The bytes by which memory may grow between two checks and still count as stable."""

THRESHOLDS = 5_000, 10, 40
"""The number of new objects between two garbage collections, and the collections of one generation
before one of the next.

A collection of 5,000 objects takes one or two milliseconds, and one of 20,000 takes ten. With the
default of 700, collections take a twentieth of all CPU time and find almost nothing."""


def tune_garbage_collector() -> None:
    """Exclude the present objects from garbage collections, and make collections rare.

    The effect is for the whole process. Call this when the server is up."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def keep_freed_memory() -> bool:
    """Set the parameters for the whole process. Calling this again has no effect.

    Returns whether the C library supports them."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return all([mallopt(TRIM_THRESHOLD, KEPT), mallopt(MMAP_THRESHOLD, LARGE)])


class FreedMemory:
    """Returns freed memory to the kernel when the process does not need it.

    It does so when the memory has grown by more than KEPT bytes, and has stopped growing. The event
    loop may wait meanwhile, 7 ms for each 100 MB."""

    def __init__(self, resident: Callable[[], int] | None = None, trim: Callable[[], object] | None = None) -> None:
        self._resident, self._trim = resident or _resident, trim or _trim
        self._least = self._before = self._resident()

    async def run(self) -> None:
        """Check the memory until cancelled."""
        while True:
            await asyncio.sleep(PAUSE)
            await self.return_memory()

    async def return_memory(self) -> bool:
        """Return freed memory to the kernel if that is due. Return whether it was due."""
        now, before = self._resident(), self._before
        self._least, self._before = min(self._least, now), now
        if now <= self._least + KEPT or now > before + GROWTH:
            return False
        await asyncio.to_thread(self._trim)
        self._least = self._before = self._resident()
        return True


def _resident() -> int:
    """Return the bytes of resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _trim() -> None:
    ctypes.CDLL(None).malloc_trim(0)
