"""Starts what belongs together in the right order, watches over it, and stops it: informers first, controllers when they know all."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apiserver.client.informer import Informer

__all__ = ["Manager", "Runnable"]

log = logging.getLogger(__name__)


class Runnable(Protocol):
    """Something that works until it is cancelled."""

    async def run(self) -> None:
        """Works until cancelled; returning or raising stops the whole manager."""


class Manager:
    """Runs informers and runnables together; when one of them fails, all are stopped and the error is raised."""

    def __init__(self) -> None:
        self.informers: list[Informer] = []
        self._runnables: list[Callable[[], Awaitable[None]]] = []
        self.started = asyncio.Event()

    def informer(self, informer: Informer) -> Informer:
        """Adds an informer; it is started before every runnable."""
        self.informers.append(informer)
        return informer

    def add(self, runnable: Runnable) -> None:
        """Adds a controller or the like; it is started when all informers are synced."""
        self._runnables.append(runnable.run)

    async def run(self) -> None:
        """Runs everything until cancelled. `started` is set when the controllers work."""
        async with asyncio.TaskGroup() as group:
            for informer in self.informers:
                group.create_task(informer.run(), name=f"informer {informer.resource.plural}")
            for informer in self.informers:
                await informer.synced.wait()
            for runnable in self._runnables:
                group.create_task(_never_ends(runnable))
            self.started.set()

    def unhealthy(self) -> str | None:
        """Why it does not work at present, or None: not started yet, or an informer that cannot follow."""
        for informer in self.informers:
            if informer.last_error is not None:
                return f"cannot follow {informer.resource.plural}: {informer.last_error}"
        return None if self.started.is_set() else "still reading the state of the cluster"


async def _never_ends(run: Callable[[], Awaitable[None]]) -> None:
    await run()
    raise RuntimeError(f"{getattr(run, '__qualname__', run)} ended by itself")
