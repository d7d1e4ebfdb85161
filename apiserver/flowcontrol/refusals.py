"""Log the flows whose requests are refused, so that an operator finds the user that sends too
many."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

EVERY_SECONDS = 30.0
"""The shortest time between two lines, in seconds."""
SHOWN, COUNTED = 5, 1000
"""The number of flows that a line names, and that are counted for it."""


class Refusals:
    """Counts refused requests by priority level and flow since the last line.

    The algorithm of Misra and Gries counts them: a flow with more than one of COUNTED refusals is
    always counted, however many others there are. So no user can hide another one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._logged_at = clock, float("-inf")
        self._counts: Counter[tuple[str, str]] = Counter()
        self._total = 0

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, level: str, flow: str) -> None:
        """Count a refusal, and log all of them unless they were logged within EVERY_SECONDS."""
        self._total += 1
        if len(self._counts) < COUNTED or (level, flow) in self._counts:
            self._counts[level, flow] += 1
        else:
            # Each refusal that is subtracted here was counted once, so the cost per refusal is
            # O(1).
            self._counts = Counter({key: number - 1 for key, number in self._counts.items() if number > 1})
        if (now := self._clock()) - self._logged_at < EVERY_SECONDS:
            return
        log.warning("flow control refused requests: %s", ", and ".join(self._named()))
        self._logged_at, self._total = now, 0
        self._counts.clear()

    def _named(self) -> Iterator[str]:
        """Yield the flows with the most refusals, and the number of all other refusals."""
        most = self._counts.most_common(SHOWN)
        if most:
            yield ", ".join(f"{flow or 'anonymous users'} ({level}): {number}" for (level, flow), number in most)
        if others := self._total - sum(number for _, number in most):
            yield f"{others} of others"
