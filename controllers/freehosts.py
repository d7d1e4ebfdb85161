"""The hosts that can be given away right now, per class, kept up to date from Host events. No I/O.

A bind takes a host out before the request is sent (assumes it), so that no two Workloads try the same one, and puts it back
when the server says no. An assumption ends when the event that confirms it has come, or after a while.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from controllers.fit import Candidate, candidate
from controllers.runtime.clock import Clock, LoopClock
from controllers.runtime.objects import Object, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FreeHosts"]

ASSUMED_FOR = 30.0


class FreeHosts:
    """Free hosts by class, and how many others there are and why they are not free."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or LoopClock()
        self._free: dict[str, dict[str, Candidate]] = defaultdict(dict)
        self._unfree: dict[str, Counter[str]] = defaultdict(Counter)
        self._known: dict[str, tuple[str, str | None]] = {}
        self._assumed: dict[str, float] = {}

    def update(self, old: Object | None, new: Object | None) -> str | None:
        """Takes in a Host's change. Returns the class in which something has become free or better known, if any."""
        host = new or old
        assert host is not None
        name = name_of(host)
        before = self._forget(name)
        if new is None:
            self._assumed.pop(name, None)
            return None
        class_name = new["spec"]["className"]
        reason = unfree(new)
        self._known[name] = (class_name, reason)
        if new["spec"].get("claimRef"):
            self._assumed.pop(name, None)
        if reason is not None:
            self._unfree[class_name][reason] += 1
            return None
        found = candidate(new)
        self._free[class_name][name] = found
        return class_name if found != before else None

    def _forget(self, name: str) -> Candidate | None:
        class_name, reason = self._known.pop(name, ("", None))
        if not class_name:
            return None
        if reason is None:
            return self._free[class_name].pop(name, None)
        self._unfree[class_name][reason] -= 1
        return None

    def candidates(self, class_name: str) -> Iterable[Candidate]:
        """The free hosts of a class that nobody is about to bind."""
        return [host for host in self._free[class_name].values() if not self._is_assumed(host.name)]

    def others(self, class_name: str) -> Counter[str]:
        """Why the class's other hosts cannot be had, counted, those being bound included."""
        result = +self._unfree[class_name]
        if assumed := sum(1 for name in self._free[class_name] if self._is_assumed(name)):
            result["are claimed"] += assumed
        return result

    def assume(self, name: str) -> None:
        """Nobody else is to try this host while it is being bound."""
        self._assumed[name] = self._clock.time() + ASSUMED_FOR

    def restore(self, name: str) -> None:
        """It was not bound after all."""
        self._assumed.pop(name, None)

    def _is_assumed(self, name: str) -> bool:
        until = self._assumed.get(name)
        if until is None:
            return False
        if until <= self._clock.time():
            del self._assumed[name]
            return False
        return True


def unfree(host: Object) -> str | None:
    """Why the Host cannot be given away, as a phrase shared by many; None when it is free. Fit for tenants."""
    if host["spec"].get("claimRef"):
        return "are claimed"
    if host["metadata"].get("deletionTimestamp"):
        return "are going away"
    status = host.get("status") or {}
    if not status.get("report"):
        return "are not ready"
    if not status.get("available"):
        return PHRASES.get(status.get("reason") or "", "are not available")
    return None


PHRASES = {
    "Claimed": "are being released",
    "Dirty": "hold another namespace's data",
    "HostError": "report an error",
    "InUse": "are in use",
    "NotReady": "are not ready",
    "Quarantined": "are quarantined",
    "Unhealthy": "are unhealthy",
}
