"""How long the event loop was held: by which request, as each step of a request is timed, and at all, as a heartbeat is late.

While one step runs, nobody else is served. Each that takes longer than SLOW is logged with the request it belongs to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from apiserver.server.metrics import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.handlers.request.call import Call

__all__ = ["SLOW", "Watchdog"]

log = logging.getLogger(__name__)

SLOW = 0.05
"""Seconds that no step should take."""
PAUSE = 1.0
"""Seconds between two lines about slow steps: they are many where the machine itself is slow."""
BEAT = 0.05
"""Seconds between heartbeats."""
SHOWN = 256
"""Characters of a path or a name that are logged."""


class Watchdog:
    """See filters.steps.Meter. `steps` and `late`: seconds of each step, and how late each heartbeat was."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps, self.late = Histogram(), Histogram()
        self._clock = clock
        self._next = self._beyond = 0.0
        self._unsaid = 0

    def took(self, call: Call, seconds: float) -> None:
        """Notes a step, and logs a slow one."""
        self.steps.observe(seconds)
        if seconds > SLOW:
            self._beyond = seconds
            self._say(_step(call, seconds))

    def beat(self, late: float) -> None:
        """Notes a heartbeat that came so many seconds late, and logs a late one that no request's step explains."""
        self.late.observe(late)
        explained, self._beyond = self._beyond, 0.0
        if late > SLOW and not explained:
            self._say(f"the event loop was held for {late * 1000:.0f} ms, by no single request")

    async def run(self) -> None:
        """Beats until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT
            await asyncio.sleep(BEAT)
            self.beat(max(0.0, loop.time() - due))

    def _say(self, text: str) -> None:
        """At most one line in PAUSE; what was left out meanwhile is counted in the next."""
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
