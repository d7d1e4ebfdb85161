"""Define what `adopt`, `move` and `recover` share: commands that the user may run again to
continue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

POLL = 0.2
Found = TypeVar("Found")


class Blocked(Exception):
    """Reports that the command cannot continue. The message gives the reason and says what to
    do."""


class Reporter(Protocol):
    """Shows the progress of such a command."""

    def say(self, line: str) -> None:
        """Show a line, which may contain text of other users."""

    def advance(self, done: int, total: int) -> None:
        """Show how many of all objects are done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of every such command. `timeout` is in seconds, for each Workload."""

    dry_run: bool = False
    timeout: float = 300.0


async def until(check: Callable[[], Awaitable[Found]], seconds: float) -> Found:
    """Return the first result of the check that is true, or the last one when time is up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (found := await check()):
        if loop.time() >= deadline:
            break
        await asyncio.sleep(POLL)
    return found
