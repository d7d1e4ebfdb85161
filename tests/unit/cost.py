"""Measure the cost of work, for tests of how the cost grows."""

from __future__ import annotations

import gc
import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def assert_cheaper(work: Callable[[], object], than: Callable[[], object], factor: float = 1.0) -> None:
    """Assert that work costs less than `factor` times what other work costs.

    Both run in turn, so that a busy machine slows both, and their least costs are compared. On a
    busy machine this takes more rounds."""
    ours = theirs = math.inf
    with _without_collection():
        for number in range(MOST):
            ours, theirs = min(ours, _once(work)), min(theirs, _once(than))
            if number + 1 >= LEAST and ours < theirs * factor:
                return
    raise AssertionError(f"{ours * 1e3:.2f} ms are not less than {factor:g} times {theirs * 1e3:.2f} ms")


LEAST, MOST = 3, 30
"""The rounds of a comparison."""


@contextmanager
def _without_collection() -> Iterator[None]:
    """Switch the garbage collector off, because its work depends on the rest of the process."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


def _once(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started
