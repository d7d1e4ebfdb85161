"""Measure how long requests block the event loop, by each of their steps and by late heartbeats.

While one step runs, no other request is served. A step that takes longer than SLOW is logged with
its request.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from apiserver.handlers.request.call import Call
from apiserver.server.metrics import Histogram

log = logging.getLogger(__name__)

SLOW = 0.05
"""The seconds that no step should exceed."""
PAUSE = 1.0
"""The shortest time in seconds between two log lines, because slow steps are many on a slow
machine."""
BEAT = 0.05
"""The seconds between heartbeats."""
SHOWN = 256
"""The largest number of logged characters of a path or a name."""


class Watchdog:
    """The measurements (see filters.steps.Meter).

    `steps` are the seconds of each step, `late` those by which each heartbeat was late."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps, self.late = Histogram(), Histogram()
        self._clock = clock
        self._next = self._beyond = 0.0
        self._unsaid = 0

    def took(self, call: Call, seconds: float) -> None:
        """Record a step, and log a slow one."""
        self.steps.observe(seconds)
        if seconds > SLOW:
            self._beyond = seconds
            self._warn(_step(call, seconds))

    def beat(self, late: float) -> None:
        """Record a heartbeat that was `late` seconds late.

        Logs a late one that no request's step explains."""
        self.late.observe(late)
        explained, self._beyond = self._beyond, 0.0
        if late > SLOW and not explained:
            self._warn(f"the event loop was held for {late * 1000:.0f} ms, by no single request")

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT
            await asyncio.sleep(BEAT)
            self.beat(max(0.0, loop.time() - due))

    def _warn(self, text: str) -> None:
        """Log at most one line in PAUSE seconds. The next line counts the omitted ones."""
        if self._clock() < self._next:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more since the last such line)" if self._unsaid else ""
        log.warning("%s%s", text, more)
        self._next, self._unsaid = self._clock() + PAUSE, 0


def _step(call: Call, seconds: float) -> str:
    user = call.user.name if call.user is not None else ""
    what = f"{call.info.verb} {call.info.path[:SHOWN]!a} by {user[:SHOWN]!a}"
    return f"audit ID {call.audit_id}: {what} held the event loop for {seconds * 1000:.0f} ms"
