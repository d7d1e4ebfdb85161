"""Starts what belongs together in the right order, watches over it, and stops it: informers first, controllers when they know all."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from apiserver.client.informer import Informer

__all__ = ["PATIENCE_SECONDS", "Manager", "Runnable"]

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
"""For how long a server may be away before those who follow it are called unready: a rollout of the server takes less."""


class Runnable(Protocol):
    """Something that works until it is cancelled."""

    async def run(self) -> None:
        """Works until cancelled; returning or raising stops the whole manager."""


class Manager:
    """Runs informers and runnables together; when one of them fails, all are stopped and the error is raised."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
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
        """Why it does not work at present, or None: not started yet, or an informer that has not been able to follow for long."""
        for informer in self.informers:
            if informer.last_error is not None and self._is_overdue(informer):
                return f"cannot follow {informer.resource.plural}: {informer.last_error}"
        return None if self.started.is_set() else "still reading the state of the cluster"

    def _is_overdue(self, informer: Informer) -> bool:
        since = informer.stale_since
        return not self.started.is_set() or since is None or asyncio.get_running_loop().time() - since > self._patience


async def _never_ends(run: Callable[[], Awaitable[None]]) -> None:
    await run()
    raise RuntimeError(f"{getattr(run, '__qualname__', run)} ended by itself")
