"""Poll the cloud, which reports no changes by itself.

Polls are more frequent while the cloud carries out operations for the class."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from apiserver.client.clock import Backoff
from controllers.providers.base import ProviderError
from controllers.providers.machines.driver import Follower, Timings
from controllers.providers.machines.fleet import Fleet
from controllers.providers.machines.instance import Instance


class Poller(Follower):
    """Lists all instances repeatedly. `explain` converts errors of the cloud into problems."""

    def __init__(
        self,
        instances: Callable[[], Awaitable[Iterable[Instance]]],
        explain: Callable[[Exception], ProviderError],
        fleet: Fleet,
        seconds: float,
        timings: Timings,
        on_health: Callable[[], None],
    ) -> None:
        self._instances, self._explain, self._fleet = instances, explain, fleet
        self._seconds, self._timings, self._on_health = seconds, timings, on_health
        self._wanted = asyncio.Event()
        self.problem: ProviderError | None = ProviderError("Connecting", "asking the cloud for its machines for the first time")

    def poll_soon(self) -> None:
        self._wanted.set()

    def seen(self, uid: str, found: Iterable[Instance]) -> None:
        self._fleet.saw_slot(uid, found)

    async def run(self) -> None:
        backoff = Backoff(first=self._timings.poll_first, most=self._timings.poll_longest)
        while True:
            self._wanted.clear()
            try:
                self._fleet.saw(await self._instances())
            except Exception as error:
                self._trouble(error if isinstance(error, ProviderError) else self._explain(error))
                await self._rest(backoff.next())
            else:
                backoff.reset()
                self._trouble(None)
                await self._rest(self._seconds)

    async def _rest(self, seconds: float) -> None:
        """Wait until the next poll is due, which is earlier while an operation is in progress."""
        limit = min(seconds, self._timings.soon) if self._fleet.busy else seconds
        try:
            async with asyncio.timeout(limit):
                await self._wanted.wait()
        except TimeoutError:
            return
        # the cloud takes a moment for an operation, and one poll serves many operations
        await asyncio.sleep(min(seconds, self._timings.soon))

    def _trouble(self, problem: ProviderError | None) -> None:
        before, self.problem = self.problem, problem
        if (before and before.reason) != (problem and problem.reason):
            self._on_health()
