"""Wait until the host's source confirms a claim through the view, or another consumer took the
host.

CAPM3 chooses another host if its claiming PATCH is answered with 409, but never after a 200. So the
answer waits a moment for the controllers: they take the real host, or delete the claim's Workload
if another consumer has it. The request gives up its flow-control seat before it waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from apiserver.apis.workload import binding_state
from apiserver.registry.claims.claims import Claims
from apiserver.registry.generic.seat import leave_seat

SECONDS = 2.0
"""The seconds for which a claim waits for the source's confirmation, and again for its release if
lost."""
AT_ONCE, OF_ONE_NAMESPACE = 128, 4
"""The number of claims that wait at the same time, in total and of one namespace.

Other claims are answered at once, so that a slow source does not hold up more requests."""
LOOK, UNHURRIED = 0.02, 16
"""The seconds between two reads of a Workload, and the number of waiting claims up to which they
apply.

If more claims wait, each Workload is read less often, so that the total cost stays the same."""


@dataclass(eq=False, slots=True)
class Waiter:
    """A claim that waits. `ended` is set when it gives its place to another flow's claim."""

    flow: str
    namespace: str
    ended: bool = False


class Places:
    """The places of waiting claims, shared by flows and then by namespaces.

    When all are taken, a claim gets the place of one whose flow has at least two more. Within a
    flow, the same holds for its namespaces. So no flow keeps another from its first place."""

    def __init__(self, total: int = AT_ONCE, of_one_namespace: int = OF_ONE_NAMESPACE) -> None:
        self._total, self._of_one_namespace = total, of_one_namespace
        self._taken: list[Waiter] = []

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, flow: str, namespace: str) -> Waiter | None:
        """Return a place, or None if the claim must be answered without waiting."""
        if sum(waiter.namespace == namespace for waiter in self._taken) >= self._of_one_namespace:
            return None
        if len(self._taken) >= self._total:
            richer = self._richer(flow, namespace)
            if richer is None:
                return None
            richer.ended = True
            self.leave(richer)
        waiter = Waiter(flow, namespace)
        self._taken.append(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Give the place back. Has no effect if it was given to another claim."""
        if waiter in self._taken:
            self._taken.remove(waiter)

    def _richer(self, flow: str, namespace: str) -> Waiter | None:
        """Return the newest claim of the richest flow, or of the richest namespace of this flow."""
        flows = Counter(waiter.flow for waiter in self._taken)
        richest = max(flows, key=flows.__getitem__)
        if flows[richest] > flows[flow] + 1:
            return next(waiter for waiter in reversed(self._taken) if waiter.flow == richest)
        own = [waiter for waiter in self._taken if waiter.flow == flow]
        namespaces = Counter(waiter.namespace for waiter in own)
        top = max(namespaces, key=namespaces.__getitem__, default=namespace)
        if namespaces[top] <= namespaces[namespace] + 1:
            return None
        return next(waiter for waiter in reversed(own) if waiter.namespace == top)


class Confirmations:
    """Waits for the claims of one server."""

    def __init__(self, claims: Claims, seconds: float = SECONDS, places: Places | None = None) -> None:
        self.seconds, self.interval = seconds, LOOK
        self.places = places or Places()
        self._claims = claims

    async def lost(self, workload: dict[str, Any], flow: str) -> bool:
        """Return whether the claim of this new Workload was lost.

        Returns False if it was confirmed, or if the outcome is not known in time."""
        if not self._connected(workload) or (waiter := self.places.take(flow, workload["metadata"]["namespace"])) is None:
            return False
        leave_seat()
        try:
            return await self._wait(workload, waiter)
        finally:
            self.places.leave(waiter)

    async def _wait(self, workload: dict[str, Any], waiter: Waiter) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + self.seconds
        known = "waiting"
        while loop.time() < end and not waiter.ended:
            now = self._state(workload)
            if now in ("confirmed", "gone"):
                return now == "gone"
            if now == "lost" != known:
                # A client that is answered before the release would find the claim in place, and
                # continue with it.
                end = loop.time() + self.seconds
            known = now
            await asyncio.sleep(self.interval * max(1.0, len(self.places) / UNHURRIED))
        return known == "lost"

    def _state(self, workload: dict[str, Any]) -> str:
        meta = workload["metadata"]
        entry = self._claims.workloads.find(meta["namespace"], meta["name"])
        if entry is None or entry.fields[".uid"] != meta["uid"]:
            return "gone"
        now = entry.object()
        if "deletionTimestamp" in now["metadata"]:
            return "lost"
        return "confirmed" if binding_state(now.get("status")) == "Confirmed" else "waiting"

    def _connected(self, workload: dict[str, Any]) -> bool:
        """Return whether controllers are running that could confirm the claim.

        They set the class's condition Connected to True."""
        entry = self._claims.classes.find("", workload["spec"].get("className") or "")
        return entry is not None and _condition(entry.object(), "Connected").get("status") == "True"


def _condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})
