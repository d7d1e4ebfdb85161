"""Define the time limits of reads and watches."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The time limits of one API, in seconds."""

    future: float = 3.0
    """The time to wait for a resourceVersion from the future (kube-apiserver's blockTimeout)."""
    bookmarks: float = 60.0
    """The approximate time between two bookmarks."""
    slow: float = 30.0
    """The time that a client may take to make room for a piece."""
    initial: float = 60.0
    """The time that a client has for the initial events, plus one second for each RATE bytes.

    Until the client has them, the watch holds the objects as they were at its beginning. The bounds
    of the history do not count those objects."""
