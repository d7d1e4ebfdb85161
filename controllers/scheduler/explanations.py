"""Explain why no host fits. Workloads with the same requirements share one explanation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import orjson

from apiserver.apis.bounded import Bounded, footprint
from controllers.scheduler.cache import SchedulerCache
from controllers.scheduler.fit import Requirements, explain

KEPT = 4 * 1024 * 1024
"""The most bytes of cached messages and of the requirements that they are about."""
SHARE = 20.0
"""The least ratio of the time between two counts for the same requirements to the time of a
count."""


@dataclass(frozen=True, slots=True)
class _Explanation:
    """Hold a message, the version that it is based on, and the time before which it is not made
    again."""

    text: str
    version: int
    until: float


class Explanations:
    """Caches messages by class and requirements.

    `clock` returns seconds, to measure how long counting takes."""

    def __init__(self, free: SchedulerCache, clock: Callable[[], float] = time.perf_counter) -> None:
        self._free, self._clock = free, clock
        self._known: Bounded[tuple[object, ...], _Explanation] = Bounded(KEPT)

    def of(self, class_name: str, want: Requirements) -> tuple[str, bool]:
        """Return the message, and whether it is up to date. If it is not, ask again later."""
        about = (class_name, replace(want, seed="", selector=None), orjson.dumps(want.selector, option=orjson.OPT_SORT_KEYS))
        version, started = self._free.version(class_name), self._clock()
        known = self._known.get(about)
        if known is not None and (known.version == version or started < known.until):
            return known.text, known.version == version
        reasons = self._free.reasons(class_name, want)
        text, ended = explain(reasons), self._clock()
        self._known.put(about, _Explanation(text, version, ended + SHARE * (ended - started)), footprint((about, text)))
        return text, True
