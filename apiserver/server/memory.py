"""How the C library treats memory that was freed: it is kept for the next answer instead of being given back to the kernel and asked for
again, page by page, which can make an answer of some hundred KiB cost twice as much. Limits: glibc; elsewhere nothing changes.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
KEPT = 64 * 1024 * 1024
"""Free bytes at the end of the heap that are kept."""
LARGE = 4 * 1024 * 1024
"""The mmap threshold, in bytes: larger allocations are mapped directly. No response needs one."""


def keep_freed() -> bool:
    """For the whole process. Idempotent. Returns whether the C library can do it."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return all([mallopt(TRIM_THRESHOLD, KEPT), mallopt(MMAP_THRESHOLD, LARGE)])
