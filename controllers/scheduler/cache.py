"""The hosts that can be given away right now, per class, kept up to date from Host events. No I/O.

A bind takes a host out before the request is sent (assumes it), so that no two Workloads try the same one, and puts it back
when the server says no. An assumption ends when the event that confirms it has come, or after a while.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apiserver.client.clock import Clock, LoopClock
from apiserver.client.objects import Object, name_of
from controllers.scheduler.fit import OTHERS_DATA, OWN, Candidate, candidate, misfits
from controllers.scheduler.index import FreeIndex

if TYPE_CHECKING:
    from controllers.scheduler.fit import Needs

__all__ = ["ASSUMED_FOR", "FreeHosts"]

ASSUMED_FOR = 30.0

_NONE = FreeIndex()


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a Host: its class, why it is not free (None when it is), and the uid of the namespace that has it."""

    class_name: str
    reason: str | None
    holder: str


class FreeHosts:
    """Free hosts by class, and how many others there are."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or LoopClock()
        self._free: dict[str, FreeIndex] = defaultdict(FreeIndex)
        self._known: dict[str, _Known] = {}
        self._assumed: OrderedDict[str, float] = OrderedDict()
        self._held: dict[str, Candidate] = {}
        self._totals: Counter[str] = Counter()
        self._claimed: Counter[tuple[str, str]] = Counter()
        """Claimed hosts by class and uid of the namespace that has them."""
        self._versions: Counter[str] = Counter()

    def update(self, old: Object | None, new: Object | None) -> str | None:
        """Takes in a Host's change. Returns the class in which something has become free or better known, if any."""
        host = new or old
        assert host is not None
        name = name_of(host)
        known = self._known.get(name)
        before = self._forget(name)
        if new is None:
            self._assumed.pop(name, None)
            self._versions[host["spec"]["className"]] += 1
            return None
        class_name = str(new["spec"]["className"])
        reason, holder = unfree(new), str((new["spec"].get("claimRef") or {}).get("namespaceUID") or "")
        self._known[name] = _Known(class_name, reason, holder)
        self._totals[class_name] += 1
        if holder:
            self._claimed[class_name, holder] += 1
        if known != self._known[name]:
            self._versions[class_name] += 1
        if new["spec"].get("claimRef"):
            self._assumed.pop(name, None)
        if reason is not None:
            return None
        found = candidate(new)
        self._put(class_name, found)
        if found == before:
            return None
        self._versions[class_name] += 1
        return class_name

    def _forget(self, name: str) -> Candidate | None:
        known = self._known.pop(name, None)
        if known is None:
            return None
        self._totals[known.class_name] -= 1
        if known.holder:
            self._uncount(known.class_name, known.holder)
        if known.reason is None:
            return self._held.pop(name, None) or self._free[known.class_name].remove(name)
        return None

    def _uncount(self, class_name: str, holder: str) -> None:
        self._claimed[class_name, holder] -= 1
        if not self._claimed[class_name, holder]:
            del self._claimed[class_name, holder]

    def _class_of(self, name: str) -> str:
        known = self._known.get(name)
        return known.class_name if known is not None else ""

    def _of(self, class_name: str) -> FreeIndex:
        """The class's free hosts. Nothing is made of the name: tenants choose it."""
        return self._free.get(class_name, _NONE)

    def _put(self, class_name: str, host: Candidate) -> None:
        if host.name in self._assumed:
            self._held[host.name] = host
        else:
            self._free[class_name].add(host)

    def best(self, class_name: str, want: Needs) -> str | None:
        """The name of the host that suits best, of those that nobody is about to bind."""
        self._expire()
        found = self._of(class_name).best(want)
        return found.name if found else None

    def looked(self, class_name: str) -> int:
        """How many groups of hosts were looked at so far to choose."""
        return self._of(class_name).looked

    def version(self, class_name: str) -> int:
        """Changes whenever `reasons` may."""
        return self._versions[class_name]

    def total(self, class_name: str) -> int:
        """How many hosts the class has, free or not."""
        return self._totals[class_name]

    def reasons(self, class_name: str, want: Needs) -> Counter[str]:
        """Count why none of the hosts will do that the Workload's namespace has or could have now. Looks at every free one. What others
        have, or have left their data on, is not counted: a tenant reads the numbers."""
        result = misfits(self._of(class_name), want)
        del result[OTHERS_DATA]
        if own := self._claimed[class_name, want.namespace_uid]:
            result[OWN] = own
        return result

    def assume(self, name: str) -> None:
        """Nobody else is to try this host while it is being bound."""
        class_name = self._class_of(name)
        self._assumed[name] = self._clock.time() + ASSUMED_FOR
        self._assumed.move_to_end(name)
        self._versions[class_name] += 1
        if (host := self._of(class_name).remove(name)) is not None:
            self._held[name] = host

    def restore(self, name: str) -> None:
        """It was not bound after all."""
        self._assumed.pop(name, None)
        if (host := self._held.pop(name, None)) is not None:
            class_name = self._class_of(name)
            self._versions[class_name] += 1
            self._free[class_name].add(host)

    def _expire(self) -> None:
        """Ends the assumptions that nothing has confirmed. They end in the order they were made."""
        while self._assumed:
            name, until = next(iter(self._assumed.items()))
            if until > self._clock.time():
                return
            self.restore(name)


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
    "Dirty": OTHERS_DATA,
    "HostError": "report an error",
    "InUse": "are in use",
    "NotReady": "are not ready",
    "Quarantined": "are quarantined",
    "Unhealthy": "are unhealthy",
}
