"""What becomes of a claim that was made through the view: confirmed at the host's source, or lost to somebody who was faster there.

CAPM3 chooses another host when its claiming PATCH is answered with 409, and never after a 200. So the answer waits a moment for the
controllers, which take the real host, or delete the claim's Workload when somebody else has it. The request leaves its flow-control seat
before it waits.
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
"""How long a claim waits for the source's confirmation, and once more for its release when it is lost."""
AT_ONCE, OF_ONE_NAMESPACE = 32, 4
"""Claims that wait at the same time: others are answered at once, so that no more requests than these are held up by a slow source."""
LOOK = 0.02
"""Seconds between two looks at a Workload."""


class Confirmations:
    """Waits for the claims of one server."""

    def __init__(self, claims: Claims, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._claims = claims
        self._waiting: Counter[str] = Counter()

    async def lost(self, workload: dict[str, Any]) -> bool:
        """Whether the claim of this new Workload was lost. False when it was confirmed, and when that is not known in time."""
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
                end = (
                    loop.time() + self.seconds
                )  # a client that is answered before the release finds the claim in place, and goes on with it
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
        """Whether controllers are there that could confirm it: they say of the class that its source answers."""
        entry = self._claims.classes.find("", workload["spec"].get("className") or "")
        return entry is not None and _condition(entry.object(), "Connected").get("status") == "True"


def _condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})
