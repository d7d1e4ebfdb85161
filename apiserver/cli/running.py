"""Run the commands until they are stopped, and report their errors."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import uvloop

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""The seconds that stopping may take after SIGTERM or SIGINT. A second signal ends the process at
once."""


class UsageError(Exception):
    """The request of the user cannot be executed. The message is a sentence that says what to
    do."""


def run_until_stopped(main: Callable[[], Coroutine[object, object, None]], *, stop_seconds: float = STOP_SECONDS) -> int:
    """Run `main` until it ends, or until a signal cancels it. Return the exit status.

    After a signal, the process ends within `stop_seconds`, even if `main` has not ended. Raises
    UsageError, also from a group of tasks."""
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
    with _signals(task, stop_seconds) as received:
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        elif not received:
            raise asyncio.CancelledError
    return 0


@contextlib.contextmanager
def _signals(task: asyncio.Task[None], stop_seconds: float) -> Iterator[list[int]]:
    loop, received = asyncio.get_running_loop(), list[int]()

    def stop(number: int) -> None:
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        log.info("stopping on %s", signal.Signals(number).name)
        task.cancel()
        # This is safe even if something hangs, because every acknowledged write is already durable.
        loop.call_later(stop_seconds, _give_up, number, stop_seconds)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        yield received
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _of_the_loop(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception that no task received, unless a connection was just closed.

    uvloop raises an error if TLS has something to answer on a connection that was closed in the
    same turn. That happens when a process was frozen while its peer gave up. The user of the
    connection learns of its end anyway."""
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
