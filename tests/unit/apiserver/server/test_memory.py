"""Check that freed memory stays in the process."""

from __future__ import annotations

import platform
import subprocess
import sys

from apiserver.server.memory import GROWTH, KEPT, THRESHOLDS, FreedMemory, keep_freed_memory

FAULTS = """
import resource
from apiserver.server.memory import keep_freed_memory
keep_freed_memory()
def make():
    return [bytes(300_000) for _ in range(20)]
make()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    make()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 20 * 20 * 300_000 // 4096
"""The pages of the created objects. Each would cause a fault if it came from the kernel again."""


def test_memory_is_used_again() -> None:
    if not keep_freed_memory():
        assert platform.libc_ver()[0] != "glibc", "other C libraries have no such setting"
        return
    found = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    assert int(found.stdout) < PAGES / 2


SETTLED = """
import gc
from apiserver.server.memory import tune_garbage_collector
made = [[number] for number in range(1000)]
tune_garbage_collector()
print(gc.get_freeze_count() > 1000, not [one for one in gc.get_objects() if one is made], gc.get_threshold()[0])
"""


def test_what_is_there_is_not_looked_at_again() -> None:
    found = subprocess.run([sys.executable, "-c", SETTLED], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["True", "True", str(THRESHOLDS[0])]


async def test_memory_is_returned_once_it_has_stopped_growing() -> None:
    resident, trimmed = [100 * KEPT], [0]

    def trim() -> None:
        trimmed[0] += 1
        resident[0] -= KEPT

    freed = FreedMemory(lambda: resident[0], trim)
    assert not await freed.return_memory()
    resident[0] += 2 * KEPT
    assert not await freed.return_memory(), "it grows"
    assert await freed.return_memory()
    assert not await freed.return_memory(), "the rest is in use"
    resident[0] += KEPT
    assert not await freed.return_memory()
    assert not await freed.return_memory(), "that much is kept"
    resident[0] += GROWTH
    assert await freed.return_memory()
    assert trimmed == [2]


RETURNED = """
import asyncio
from apiserver.server.memory import FreedMemory, _resident, keep_freed_memory
assert keep_freed_memory()
freed = FreedMemory()
made = [bytearray(size) for _ in range(1_000) for size in (200_000, 600)]
del made[::2]
before = _resident()
asyncio.run(freed.return_memory())
kept = _resident()
returned = asyncio.run(freed.return_memory())
print(kept > before - 50_000_000, returned, _resident() < before - 150_000_000)
"""


def test_memory_between_small_objects_is_returned() -> None:
    found = subprocess.run([sys.executable, "-c", RETURNED], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["True", "True", "True"]
