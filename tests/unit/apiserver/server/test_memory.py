"""What is freed stays in the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from apiserver.server.memory import THRESHOLDS, keep_freed

FAULTS = """
import resource
from apiserver.server.memory import keep_freed
keep_freed()
def make():
    return [bytes(300_000) for _ in range(20)]
make()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    make()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 20 * 20 * 300_000 // 4096
"""Of what is made; each would be a fault if it came from the kernel anew."""


def test_memory_is_used_again() -> None:
    if not keep_freed():
        pytest.skip("another C library than glibc")
    found = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    assert int(found.stdout) < PAGES / 2


SETTLED = """
import gc
from apiserver.server.memory import settle
made = [[number] for number in range(1000)]
settle()
print(gc.get_freeze_count() > 1000, not [one for one in gc.get_objects() if one is made], gc.get_threshold()[0])
"""


def test_what_is_there_is_not_looked_at_again() -> None:
    found = subprocess.run([sys.executable, "-c", SETTLED], check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["True", "True", str(THRESHOLDS[0])]
