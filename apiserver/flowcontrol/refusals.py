"""Name in the log the flows whose requests are refused, so that an operator finds the user that
sends too many."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
"""The least time between two lines."""
SHOWN, COUNTED = 5, 1000
"""The number of flows that a line names, and that are counted for it."""


class Refusals:
    """Counts refused requests by priority level and flow since the last line."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._told = clock, float("-inf")
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, level: str, flow: str) -> None:
        """Count a refusal, and log all of them unless that was done a moment ago."""
        if len(self._counts) < COUNTED or (level, flow) in self._counts:
            self._counts[level, flow] += 1
        if (now := self._clock()) - self._told < EVERY_SECONDS:
            return
        most = [f"{flow or 'anonymous users'} ({level}): {number}" for (level, flow), number in self._counts.most_common(SHOWN)]
        others = len(self._counts) - len(most)
        log.warning("flow control refused requests: %s%s", ", ".join(most), f", and of {others} more" if others else "")
        self._told = now
        self._counts.clear()
