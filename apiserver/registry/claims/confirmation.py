"""Wait until the host's source confirms a claim through the view, or another consumer took the
host.

CAPM3 chooses another host if its claiming PATCH is answered with 409, but never after a 200. So the
answer waits a moment for the controllers: they take the real host, or delete the claim's Workload
if another consumer has it. The request gives up its flow-control seat before it waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from apiserver.apis.workload import HOST_CHOSEN
from apiserver.registry.generic.seat import leave_seat

if TYPE_CHECKING:
    from apiserver.registry.claims.claims import Claims

__all__ = ["Confirmations"]

SECONDS = 2.0
"""The seconds that a claim waits for the source's confirmation, and again for its release if
lost."""
AT_ONCE, OF_ONE_NAMESPACE = 32, 4
"""The number of claims that wait at the same time, in total and of one namespace.

Other claims are answered at once, so that a slow source does not hold up more requests."""
LOOK = 0.02
"""The seconds between two reads of the Workload."""


class Confirmations:
    """Waits for the claims of one server."""

    def __init__(self, claims: Claims, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._claims = claims
        self._waiting: Counter[str] = Counter()

    async def lost(self, workload: dict[str, Any]) -> bool:
        """Return whether the claim of this new Workload was lost.

        Returns False if it was confirmed, or if the outcome is not known in time."""
        namespace = workload["metadata"]["namespace"]
        full = self._waiting.total() >= AT_ONCE or self._waiting[namespace] >= OF_ONE_NAMESPACE
        if full or not self._connected(workload):
            return False
        self._waiting[namespace] += 1
        leave_seat()
        try:
            return await self._wait(workload)
        finally:
            self._waiting -= Counter({namespace: 1})

    async def _wait(self, workload: dict[str, Any]) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        known = "waiting"
        while loop.time() < end:
            now = self._state(workload)
            if now in ("confirmed", "gone"):
                return now == "gone"
            if now == "lost" != known:
                # A client that is answered before the release would find the claim in place, and
                # continue with it.
                end = loop.time() + self.seconds
            known = now
            await asyncio.sleep(LOOK)
        return known == "lost"

    def _state(self, workload: dict[str, Any]) -> str:
        meta = workload["metadata"]
        entry = self._claims.workloads.find(meta["namespace"], meta["name"])
        if entry is None or entry.fields[".uid"] != meta["uid"]:
            return "gone"
        now = entry.object()
        bound = _condition(now, "Bound")
        if "deletionTimestamp" in now["metadata"]:
            return "lost"
        return "waiting" if bound.get("status") != "True" or bound.get("reason") == HOST_CHOSEN else "confirmed"

    def _connected(self, workload: dict[str, Any]) -> bool:
        """Return whether controllers are running that could confirm the claim.

        They set the class's condition Connected to True."""
        entry = self._claims.classes.find("", workload["spec"].get("className") or "")
        return entry is not None and _condition(entry.object(), "Connected").get("status") == "True"


def _condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})
