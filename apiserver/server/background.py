"""Run tasks beside the requests. A crashed task is logged and restarted, as tasks are
level-triggered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from apiserver.client.clock import Backoff

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""The approximate seconds before a crashed task is restarted.

They double each time, until the task has run for longer than the longest pause."""
EVERY_SECONDS = 30.0
"""The seconds between two checks that found everything right."""


class Background:
    """The tasks of one server. `first_pause`: see FIRST_PAUSE."""

    def __init__(self, first_pause: float = FIRST_PAUSE) -> None:
        self._first_pause = first_pause
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Keep `run` running until `stop`, or until it returns."""
        self._tasks.append(asyncio.create_task(_keep_running(name, run, self._first_pause), name=name))

    async def stop(self) -> None:
        """Cancel all tasks."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _keep_running(name: str, run: Callable[[], Awaitable[None]], first_pause: float) -> None:
    clock = asyncio.get_running_loop().time
    backoff = Backoff(first_pause, LONGEST_PAUSE)
    while True:
        began = clock()
        try:
            await run()
            return
        except Exception:
            log.exception("%s failed; it is started again", name)
        if clock() - began > LONGEST_PAUSE:
            backoff.reset()
        await asyncio.sleep(backoff.next())


async def check_forever(check: Callable[[], Awaitable[bool]]) -> None:
    """Check periodically, and sooner while `check` finds that not everything is right."""
    backoff = Backoff(most=EVERY_SECONDS)
    while True:
        if await check():
            backoff.reset()
            await asyncio.sleep(EVERY_SECONDS)
        else:
            await asyncio.sleep(backoff.next())
