"""Decide how much history to keep.

The functions map times and revisions to the revision to compact to."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """The rules for keeping history.

    Every `interval` seconds, history older than `seconds` is compacted. The last `least` revisions
    always stay, and at most the last `most` revisions do. History beyond `size` bytes is compacted
    at once, regardless of its age. With `interval` 0, nothing is compacted automatically."""

    seconds: float = 300.0
    least: int = 1_000
    most: int = 200_000
    interval: float = 30.0
    size: int = 128 << 20


PARTS = 64
"""The number of parts in which the bytes of the history are counted."""


class Horizon:
    """Records revisions over time and the size of the history, and applies a Retention to them."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._samples: deque[tuple[float, int]] = deque()
        # the last revision of each part, and the part's bytes
        self._parts: deque[tuple[int, int]] = deque()
        self._size = self._beyond = 0

    def wrote(self, revision: int, size: int) -> bool:
        """Add `size` bytes of history: the values that this revision replaced.

        Returns whether the history is too large now."""
        part = self._parts[-1][1] + size if self._parts else size
        if self._parts and part <= self._retention.size // PARTS:
            self._parts[-1] = revision, part
        else:
            self._parts.append((revision, size))
        self._size += size
        too_large = self._size > self._retention.size
        while self._size > self._retention.size:
            self._beyond, gone = self._parts.popleft()
            self._size -= gone
        return too_large

    def compact_to(self, now: float, revision: int) -> int:
        """Return the revision to compact to, or 0 for none.

        `now` is in seconds of any monotonic clock. `revision` is the latest one."""
        samples, keep = self._samples, self._retention
        samples.append((now, revision))
        old = 0
        # Keep the newest sample that is old enough for the next call.
        while samples and samples[0][0] <= now - keep.seconds:
            old = samples[0][1]
            if len(samples) < 2 or samples[1][0] > now - keep.seconds:
                break
            samples.popleft()
        return max(0, self._beyond, revision - keep.most, min(old, revision - keep.least))
