"""What all commands share: how they run until they are told to stop, where they log, how they tell what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

__all__ = ["STOP_SECONDS", "UsageError", "log_to_stderr", "run_until_stopped"]

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""How long stopping may take after SIGTERM or SIGINT. A second signal ends it at once."""


class UsageError(Exception):
    """What the user has asked for cannot be done; the message is a sentence that says what to do."""


def log_to_stderr(level: str) -> None:
    """Log lines of all parts go to stderr."""
    logging.basicConfig(level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    # aiohttp's access log is off, and what it says of broken connections is of no use to anybody.
    logging.getLogger("aiohttp").setLevel(logging.ERROR)
    logging.getLogger("asyncio").setLevel(logging.ERROR)


def run_until_stopped(main: Callable[[], Coroutine[object, object, None]], *, stop_seconds: float = STOP_SECONDS) -> int:
    """Run `main` until it ends or a signal comes, which cancels it. Returns the exit status. `stop_seconds`: the process ends then, also
    when `main` has not. UsageError comes through, also out of a group of tasks."""
    try:
        return uvloop.run(_supervised(main, stop_seconds))
    except BaseExceptionGroup as group:
        usage, rest = group.split(UsageError)
        if usage is None or rest is not None:
            raise
        raise _first(usage) from None


async def _supervised(main: Callable[[], Coroutine[object, object, None]], stop_seconds: float) -> int:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_of_the_loop)
    task = loop.create_task(main(), name="main")
    with _signals(task, stop_seconds) as told:
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        elif not told:
            raise asyncio.CancelledError
    return 0


@contextlib.contextmanager
def _signals(task: asyncio.Task[None], stop_seconds: float) -> Iterator[list[int]]:
    loop, told = asyncio.get_running_loop(), list[int]()

    def stop(number: int) -> None:
        told.append(number)
        if len(told) > 1:
            os._exit(128 + number)
        log.info("stopping on %s", signal.Signals(number).name)
        task.cancel()
        # The promise is kept even when something hangs: whatever was acknowledged is durable already.
        loop.call_later(stop_seconds, _give_up, number, stop_seconds)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        yield told
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _of_the_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What the loop has to say of an exception that reached nobody: all of it, but for connections that are gone.

    uvloop calls it an error when TLS has something to answer on a connection that was closed in the same turn, as it happens to a process
    that was frozen while the other side gave up. Whoever uses the connection is told of its end anyway."""
    error = context.get("exception")
    if isinstance(error, RuntimeError) and str(error).endswith("the handler is closed"):
        log.debug("a connection was closed while it was read: %s", error)
    else:
        loop.default_exception_handler(context)


def _give_up(number: int, stop_seconds: float) -> None:
    log.error("not stopped within %g s: ending now", stop_seconds)
    os._exit(128 + number)


def _first(group: BaseExceptionGroup[UsageError]) -> UsageError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
