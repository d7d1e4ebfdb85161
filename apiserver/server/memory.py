"""Keep freed memory in the process (glibc) instead of returning it to the kernel.

Otherwise the next answer has to get it back page by page, which can double the cost of an answer of
some hundred KiB. With other C libraries nothing changes.
"""

from __future__ import annotations

import ctypes

__all__ = ["keep_freed"]

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""The parameters of mallopt(3)."""
KEPT = 64 * 1024 * 1024
"""The free bytes at the end of the heap that are kept."""
LARGE = 4 * 1024 * 1024
"""The mmap threshold in bytes: larger allocations are mapped directly. No response needs one."""


def keep_freed() -> bool:
    """Set the parameters for the whole process. Calling this again has no effect.

    Returns whether the C library supports them."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return False
    return all([mallopt(TRIM_THRESHOLD, KEPT), mallopt(MMAP_THRESHOLD, LARGE)])
