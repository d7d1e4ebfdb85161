"""Create machines so that each attempt leaves at most one.

A source that remembers yields the same machine when a creation is repeated, and one that reserves
excludes a second one. Any other source creates a second machine in two cases. Either the response
to the first creation was lost and its machine was not listed yet, or two replicas create one each.
The next read of the slot finds both by their tags, and removes one: see `oldest`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from controllers.providers.base import ApplyRequest, Outcome, ProviderError
from controllers.providers.machines.driver import Driver
from controllers.providers.machines.flavors import NOT_OFFERED, slot_named
from controllers.providers.machines.fleet import Fleet
from controllers.providers.machines.instance import REMOVING, Instance, newest_gone
from controllers.providers.machines.steps import DesiredState

MOST_ATTEMPTS = 10


class Launcher:
    """Creates the machines of one class. Errors of the source other than refusals are raised
    unchanged."""

    def __init__(self, driver: Driver[Any], fleet: Fleet) -> None:
        self._driver, self._fleet, self._timings = driver, fleet, driver.timings
        self._failed: dict[str, tuple[str, float, int]] = {}
        self._doubts: dict[str, float] = {}

    async def launch(self, request: ApplyRequest, desired: DesiredState, found: Sequence[Instance]) -> Instance | Outcome:
        """Return a machine for the slot, or why there can be none now.

        `found`: the machines that the source lists in the slot, including terminated ones."""
        uid, slot = request.source.uid, slot_named(request.source.name)
        flavor = self._fleet.offers.flavor(slot)
        if flavor is None:
            return Outcome(False, "FlavorRemoved", NOT_OFFERED)
        last, lost = newest_gone(found, request.workload_uid), sum(item.gone for item in found)
        if last is not None and not last.booted and REMOVING not in last.tags and (failed := self.failure(uid, last, lost)):
            return failed
        try:
            for attempt in range(lost, lost + MOST_ATTEMPTS):
                # The token of an attempt yields a terminated machine again, so every replica goes
                # on to the next attempt.
                made: Instance = await self._driver.create(request, slot, flavor, desired, attempt)
                if not made.gone and made.state != "shutting-down":
                    self._fleet.requeuer.recovered(uid)
                    return made
        except Exception as error:
            refused = self._driver.refusal(error)
            if refused is None:
                if self._driver.may_have_created(error):
                    self._doubts[uid] = asyncio.get_running_loop().time() + self._timings.doubt
                raise
            self._fleet.requeuer.failed(uid, refused.problem, retry_after=self._timings.retry)
            return refused.tenant
        raise ProviderError("Failing", "the cloud terminates the machine at once: see the instance's state reason there")

    def failure(self, uid: str, last: Instance, tries: int = 0) -> Outcome | None:
        """Return why this machine never came up; None when another attempt is due.

        `tries`: the number of failures, if the source remembers them; else 0."""
        now = asyncio.get_running_loop().time()
        which, until, known = self._failed.get(uid, ("", 0.0, 0))
        if which != last.id:
            tries = tries or known + 1
            until = now + min(self._timings.retry * 2 ** (tries - 1), self._timings.longest)
            self._failed[uid] = (last.id, until, tries)
            why = f"instance {last.id} ended before it ran: {last.reason or 'the cloud gives no reason'}"
            self._fleet.requeuer.failed(uid, ("LaunchFailed", why), retry_after=until - now)
        return _FAILED if now < until else None

    def may_still_appear(self, uid: str) -> bool:
        """Return whether the slot may still get a machine, because the response to a creation was
        lost."""
        return asyncio.get_running_loop().time() < self._doubts.get(uid, 0.0)

    def forget(self, uid: str) -> None:
        """Forget all problems, because the slot is free again."""
        self._fleet.requeuer.recovered(uid)
        self._failed.pop(uid, None)
        self._doubts.pop(uid, None)


_FAILED = Outcome(False, "LaunchFailed", "the cloud could not start the machine: it is tried again, at growing intervals")
