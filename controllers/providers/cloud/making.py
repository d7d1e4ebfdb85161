"""Making instances, so that each try leaves at most one.

A cloud that knows tokens yields the same instance when a creation is repeated. Another one (`Driver.remembers` is false) makes a second
one when the answer to the first creation was lost and its instance was not listed yet, or when two replicas make one each. Whoever looks
at the slot next finds both by their tags, and one goes: see `oldest`.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from typing import TYPE_CHECKING

import requests

from controllers.providers.base import Outcome, ProviderError
from controllers.providers.cloud import problems
from controllers.providers.cloud.instance import BOOTED, REMOVING, newest_gone, tags_for
from controllers.providers.flavors import NOT_OFFERED, slot_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controllers.providers.base import ApplyRequest
    from controllers.providers.cloud.driver import Driver
    from controllers.providers.cloud.fleet import Fleet
    from controllers.providers.cloud.instance import Instance
    from controllers.providers.cloud.steps import Wish

__all__ = ["Maker"]

TRY_AGAIN = 30.0
"""Seconds between tries to make a machine that the cloud refuses, or could not start."""
LONGEST = 3600.0
"""Seconds between tries after many that failed: each costs money."""
DOUBT = 30.0
"""Seconds for which a slot is not given up after a creation whose answer was lost: what it made may be listed late."""
TOKENS = uuid.UUID("0b9f3c55-9f0e-5a0c-8c0f-6d7b6a1f2c11")
MOST_TOKENS = 10


class Maker:
    """Of one class. Errors of the cloud that are no refusals are raised as they are."""

    def __init__(self, cloud: Driver, fleet: Fleet, identity: str) -> None:
        self._cloud, self._fleet, self._identity = cloud, fleet, identity
        self._failed: dict[str, tuple[str, float, int]] = {}
        self._doubts: dict[str, float] = {}

    async def make(self, request: ApplyRequest, wish: Wish, found: Sequence[Instance]) -> Instance | Outcome:
        """An instance for the slot; or why there can be none now. `found`: what the cloud has there, gone ones included."""
        uid, slot = request.source.uid, slot_named(request.source.name)
        flavor = self._fleet.offers.flavor(slot)
        if flavor is None:
            return Outcome(False, "FlavorRemoved", NOT_OFFERED)
        last, lost = newest_gone(found, request.workload_uid), sum(item.gone for item in found)
        if last is not None and BOOTED not in last.tags and REMOVING not in last.tags and (failed := self.failure(uid, last, lost)):
            return failed
        tags = tags_for(request, slot, flavor, request.workload["spec"]["image"], identity=self._identity)
        try:
            for number in range(lost, lost + MOST_TOKENS):
                # The token of a terminated instance goes on to name it: the next one is taken, in the same order by everybody.
                token = _token(request, wish, flavor.instance_type, number)
                made = await self._cloud.create(wish.image_id, flavor.instance_type, tags, wish.user_data, token)
                if not made.gone and made.state != "shutting-down":
                    self._fleet.attention.fine(uid)
                    self._fleet.saw_slot(uid, [made])
                    return made
        except Exception as error:
            refused = self._cloud.refusal(error)
            if refused is None:
                self._note_doubt(uid, error)
                raise
            self._fleet.attention.trouble(uid, refused.trouble, again=TRY_AGAIN)
            return refused.tenant
        raise ProviderError("Failing", "the cloud terminates the machine at once: see the instance's state reason there")

    def failure(self, uid: str, last: Instance, tries: int = 0) -> Outcome | None:
        """That this machine never came up, until it is time for another try. `tries`: how many failed, if the cloud remembers."""
        now = asyncio.get_running_loop().time()
        which, until, known = self._failed.get(uid, ("", 0.0, 0))
        if which != last.id:
            tries = tries or known + 1
            until = now + min(TRY_AGAIN * 2 ** (tries - 1), LONGEST)
            self._failed[uid] = (last.id, until, tries)
            why = f"instance {last.id} ended before it ran: {last.reason or 'the cloud gives no reason'}"
            self._fleet.attention.trouble(uid, ("LaunchFailed", why), again=until - now)
        return _FAILED if now < until else None

    def unsure(self, uid: str) -> bool:
        """Whether the slot may get a machine yet, for the answer to a creation was lost a moment ago."""
        return asyncio.get_running_loop().time() < self._doubts.get(uid, 0.0)

    def _note_doubt(self, uid: str, error: Exception) -> None:
        if isinstance(error, requests.RequestException | OSError) or problems.status_of(error) >= 500:
            self._doubts[uid] = asyncio.get_running_loop().time() + DOUBT

    def forget(self, uid: str) -> None:
        """The slot is free again."""
        self._failed.pop(uid, None)
        self._doubts.pop(uid, None)


def _token(request: ApplyRequest, wish: Wish, kind: str, number: int) -> str:
    """What makes a creation that is repeated yield the same instance. The cloud refuses a token that comes with something else."""
    digest = hashlib.sha256(wish.user_data).hexdigest()
    return str(uuid.uuid5(TOKENS, "\n".join((request.workload_uid, request.source.uid, wish.image_id, kind, digest, str(number)))))


_FAILED = Outcome(False, "LaunchFailed", "the cloud could not start the machine: it is tried again, less and less often")
