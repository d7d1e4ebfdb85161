"""Cache the outcomes of finished requests, to save requests to the source.

The source is read again only after a change, or after TTL seconds."""

from __future__ import annotations

import asyncio

from controllers.providers.base import ApplyRequest, Outcome

TTL = 600.0
"""The seconds after which everything is read again although nothing has changed."""


class OutcomeCache:
    """Caches the outcomes of one provider's finished requests. It is not thread-safe."""

    def __init__(self, ttl: float = TTL) -> None:
        self._ttl = ttl
        self._outcomes: dict[str, tuple[str, float, Outcome]] = {}

    def put(self, request: ApplyRequest, outcome: Outcome) -> None:
        """Record that this request is finished, with this outcome."""
        self._outcomes[request.workload_uid] = (request.version, asyncio.get_running_loop().time() + self._ttl, outcome)

    def get(self, request: ApplyRequest) -> Outcome | None:
        """Return the outcome recorded for exactly this request; None if the machine must be read.

        A machine that must be empty is always read, because its last known state may be from before
        something was installed on it."""
        version, until, outcome = self._outcomes.get(request.workload_uid, ("", 0.0, None))
        fresh = version == request.version and asyncio.get_running_loop().time() <= until
        return outcome if fresh and request.workload["spec"].get("image") else None

    def forget(self, workload_uid: str) -> None:
        """Forget the Workload, because it is being released."""
        self._outcomes.pop(workload_uid, None)
