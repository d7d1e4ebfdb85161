"""Remember what was written to Workloads' machines, to save requests.

The source is read again only after a change, or after TRUST seconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controllers.providers.base import ApplyRequest, Outcome

__all__ = ["Told"]

TRUST = 600.0
"""The seconds after which everything is read again although nothing has changed."""


class Told:
    """The finished requests of one provider, in one event loop."""

    def __init__(self, trust: float = TRUST) -> None:
        self._trust = trust
        self._told: dict[str, tuple[str, float, Outcome]] = {}

    def note(self, request: ApplyRequest, said: Outcome) -> None:
        """Record that this request is finished, with this outcome."""
        self._told[request.workload_uid] = (request.version, asyncio.get_running_loop().time() + self._trust, said)

    def recall(self, request: ApplyRequest) -> Outcome | None:
        """Return the outcome recorded for exactly this request; None if the machine must be read.

        A machine that must be empty is always read: what is known of it may be from before it was
        filled."""
        version, until, said = self._told.get(request.workload_uid, ("", 0.0, None))
        fresh = version == request.version and asyncio.get_running_loop().time() <= until
        return said if fresh and request.workload["spec"].get("image") else None

    def forget(self, workload_uid: str) -> None:
        """Forget the Workload, because it is being released."""
        self._told.pop(workload_uid, None)
