"""Start informers and controllers in order, supervise them, and stop them together.

Controllers start when all informers are synced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver.client.errors import ApiException
from apiserver.client.informer import Informer

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
"""The seconds that a server may be unreachable before the processes that watch it count as unready.

A rollout of the server takes less."""


class Runnable(Protocol):
    """A component that works until it is cancelled."""

    async def run(self) -> None:
        """Work until cancelled. Returning or raising stops the whole manager."""


class Manager:
    """Runs informers and runnables together. If one fails, all are stopped and its error is
    raised."""

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self.informers: list[Informer] = []
        self._optional: list[Informer] = []
        self.collectors: list[Collector] = [Followed(self._optional)]
        """The metrics that are exported while this manager runs."""
        self._runnables: list[Callable[[], Awaitable[None]]] = []
        self.started = asyncio.Event()

    def informer(self, informer: Informer) -> Informer:
        """Add an informer, which is started before every runnable."""
        self.informers.append(informer)
        return informer

    def optional(self, informer: Informer) -> None:
        """Report failures also of an informer that a component runs itself, and that start-up does
        not wait for.

        A server that does not serve its kind (404) is no failure."""
        self._optional.append(informer)

    def add(self, runnable: Runnable) -> None:
        """Add a controller or a similar component, which is started when all informers are
        synced."""
        self._runnables.append(runnable.run)

    async def run(self) -> None:
        """Run everything until cancelled. `started` is set when the controllers work."""
        async with asyncio.TaskGroup() as group:
            for informer in self.informers:
                group.create_task(informer.run(), name=f"informer {informer.resource.plural}")
            for informer in self.informers:
                await informer.synced.wait()
            for runnable in self._runnables:
                group.create_task(_never_ends(runnable))
            self.started.set()

    def unhealthy(self) -> str | None:
        """Return why the manager does not work at present, or None.

        Either it has not started yet, or an informer has failed to follow the server for too
        long."""
        for informer in self.informers:
            if informer.last_error is not None and self._is_overdue(informer):
                return f"cannot follow {informer.resource.plural}: {informer.last_error}"
        if not self.started.is_set():
            return "still reading the state of the cluster"
        return next((f"cannot follow {one.resource.plural}: {one.last_error}" for one in self._optional if self._fails(one)), None)

    def _fails(self, informer: Informer) -> bool:
        """Return whether an optional informer has failed for too long."""
        error = informer.last_error
        served = not (isinstance(error, ApiException) and error.not_found)
        return error is not None and served and self._is_overdue(informer)

    def _is_overdue(self, informer: Informer) -> bool:
        since = informer.stale_since
        return not self.started.is_set() or since is None or asyncio.get_running_loop().time() - since > self._patience


class Followed(Collector):
    """The metrics that say which kinds cannot be read. Other alerts report a server that does not
    answer."""

    def __init__(self, informers: Iterable[Informer]) -> None:
        self._informers = informers

    def collect(self) -> Iterator[Metric]:
        """Return the present values."""
        for informer in self._informers:
            name = f"metal3_workloads_{informer.resource.plural}_followed"
            yield GaugeMetricFamily(name, f"Whether the controllers can read {informer.resource.kind}s.", float(_is_readable(informer)))


def _is_readable(informer: Informer) -> bool:
    """Return whether the server serves the kind, and allows reading it."""
    error = informer.last_error
    return not (isinstance(error, ApiException) and (error.forbidden or error.not_found))


async def _never_ends(run: Callable[[], Awaitable[None]]) -> None:
    await run()
    raise RuntimeError(f"{getattr(run, '__qualname__', run)} ended by itself")
