"""What Workloads' machines were told, to save requests: nothing is asked of the source again until something changes, or it is time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controllers.providers.base import ApplyRequest, Outcome

__all__ = ["Told"]

TRUST = 600.0
"""Seconds until everything is looked at again although nothing has changed."""


class Told:
    """Of one provider, in one event loop."""

    def __init__(self, trust: float = TRUST) -> None:
        self._trust = trust
        self._told: dict[str, tuple[str, float, Outcome]] = {}

    def note(self, request: ApplyRequest, said: Outcome) -> None:
        """All of this request is done, and that was said of it."""
        self._told[request.workload_uid] = (request.version, asyncio.get_running_loop().time() + self._trust, said)

    def recall(self, request: ApplyRequest) -> Outcome | None:
        """What was said when exactly this was done; None if it has to be looked at.

        A machine that is to be empty is always looked at: what is known of it may be from before it was filled."""
        version, until, said = self._told.get(request.workload_uid, ("", 0.0, None))
        fresh = version == request.version and asyncio.get_running_loop().time() <= until
        return said if fresh and request.workload["spec"].get("image") else None

    def forget(self, workload_uid: str) -> None:
        """It is being released."""
        self._told.pop(workload_uid, None)
