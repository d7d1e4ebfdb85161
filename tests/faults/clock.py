"""Run tests.faults.server with a wall clock that jumps: `python -m tests.faults.clock FOLDER
STORAGE`.

At each SIGUSR1, the clock jumps to the next of JUMPS. Monotonic time, which measures timeouts and
intervals, does not jump on a real machine either."""

from __future__ import annotations

import asyncio
import datetime
import signal
import sys
import time
from pathlib import Path
from typing import Self

JUMPS = [datetime.timedelta(hours=hours) for hours in (240, 239, 1, 720, 0)]
"""The differences between the clock and the true time. It jumps forwards and back, while
certificates stay valid."""


class _Clock:
    def __init__(self) -> None:
        self._coming = list(JUMPS)
        self.ahead = datetime.timedelta()

    def jump(self, *_: object) -> None:
        self.ahead = self._coming.pop(0)


def install() -> None:
    """Install the clock for everything that is imported from now on."""
    clock, true_time, true_gmtime = _Clock(), time.time, time.gmtime

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Self:
            return super().now(tz) + clock.ahead

    def moved() -> float:
        return true_time() + clock.ahead.total_seconds()

    time.time = moved
    time.gmtime = lambda seconds=None: true_gmtime(moved() if seconds is None else seconds)
    datetime.datetime = Jumping  # type: ignore[misc] # as intended
    signal.signal(signal.SIGUSR1, clock.jump)


if __name__ == "__main__":
    install()
    from tests.faults.server import main

    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
