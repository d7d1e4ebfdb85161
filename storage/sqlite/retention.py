"""How much history to keep. Pure: times and revisions in, the revision to compact to out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Horizon", "Retention"]


@dataclass(frozen=True, slots=True)
class Retention:
    """Every `interval` seconds, history that is older than `seconds` goes, but never the last `least` revisions, and
    always all but the last `most`. What is beyond `size` bytes goes at once, however young. `interval` 0: never compact by itself."""

    seconds: float = 300.0
    least: int = 1_000
    most: int = 200_000
    interval: float = 30.0
    size: int = 128 << 20


PARTS = 64
"""History is counted in parts of that fraction of its bytes."""


class Horizon:
    """Remembers which revision was the latest when, and how large history is, and tells from that what a Retention lets go."""

    def __init__(self, retention: Retention) -> None:
        self._retention = retention
        self._samples: deque[tuple[float, int]] = deque()
        self._parts: deque[tuple[int, int]] = deque()  # the last revision of each, and its bytes
        self._size = self._beyond = 0

    def wrote(self, revision: int, size: int) -> bool:
        """History has so many bytes more: what this revision replaced. Returns whether that makes it too large."""
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
        """The revision to compact to at time `now` (seconds of any steady clock), `revision` being the latest; 0 for none."""
        samples, keep = self._samples, self._retention
        samples.append((now, revision))
        old = 0
        # The newest sample that is old enough stays, for the next time.
        while samples and samples[0][0] <= now - keep.seconds:
            old = samples[0][1]
            if len(samples) < 2 or samples[1][0] > now - keep.seconds:
                break
            samples.popleft()
        return max(0, self._beyond, revision - keep.most, min(old, revision - keep.least))
