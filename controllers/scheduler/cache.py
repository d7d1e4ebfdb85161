"""Cache the available hosts per class, kept up to date by Host events.

As in kube-scheduler, a host is assumed before its binding is sent, so that no two Workloads try the
same host. The assumption is forgotten if the server refuses the binding. Otherwise it ends with the
event that confirms it, or after ASSUMED_FOR.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from apiserver.apis.host import CORDONED, unavailable_reason
from apiserver.client.clock import Clock, LoopClock
from apiserver.client.objects import Object, name_of
from controllers.scheduler.fit import NOT_OPEN, OWN, Candidate, Requirements, candidate, unfit_reasons
from controllers.scheduler.index import HostIndex

ASSUMED_FOR = 30.0
"""The seconds after which an unconfirmed assumption ends."""

_NONE = HostIndex()


@dataclass(frozen=True, slots=True)
class _Known:
    """Holds the known state of a Host: its class, why it is not free (None if it is), and the uid
    of the namespace that claims it."""

    class_name: str
    reason: str | None
    holder: str


class SchedulerCache:
    """Caches the free hosts by class, and counts the others."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or LoopClock()
        self._free: dict[str, HostIndex] = defaultdict(HostIndex)
        self._known: dict[str, _Known] = {}
        self._assumed: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._serial = 0
        self._held: dict[str, Candidate] = {}
        self._totals: Counter[str] = Counter()
        self._claimed: Counter[tuple[str, str]] = Counter()
        """Claimed hosts by class and by the uid of their namespace."""
        self._versions: Counter[str] = Counter()

    def update(self, old: Object | None, new: Object | None) -> str | None:
        """Process a Host's change. Return the class in which a host became free or changed, or
        None."""
        host = new or old
        assert host is not None
        name = name_of(host)
        known = self._known.get(name)
        before = self._remove(name)
        if new is None:
            self._assumed.pop(name, None)
            self._versions[host["spec"]["className"]] += 1
            return None
        class_name = str(new["spec"]["className"])
        reason, holder = unavailable_phrase(new), str((new["spec"].get("claimRef") or {}).get("namespaceUID") or "")
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

    def _remove(self, name: str) -> Candidate | None:
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

    def _of(self, class_name: str) -> HostIndex:
        """Return the class's free hosts. An unknown name adds no entry, because tenants choose the
        name."""
        return self._free.get(class_name, _NONE)

    def _put(self, class_name: str, host: Candidate) -> None:
        if host.name in self._assumed:
            self._held[host.name] = host
        else:
            self._free[class_name].add(host)

    def best(self, class_name: str, want: Requirements) -> str | None:
        """Return the name of the best host that is not being bound, or None."""
        self._expire()
        found = self._of(class_name).best(want)
        return found.name if found else None

    def domains(self, class_name: str, want: Requirements, keys: Iterable[str]) -> dict[str, set[str]]:
        """Return the values of the labels `keys`, which the rules look at, of the free hosts that
        fit."""
        return self._of(class_name).domains(want, keys)

    def hosts(self, class_name: str) -> HostIndex:
        """Return the free hosts of the class that are not being bound."""
        self._expire()
        return self._of(class_name)

    def is_assumed(self, name: str, serial: int) -> bool:
        """Return whether the host is kept only by the assumption with this number, from `assume`.

        After the assumption has expired, the host may be assumed for another Workload."""
        self._expire()
        return name in self._held and self._assumed[name][1] == serial

    def keeps_any(self) -> bool:
        """Return whether any host is assumed for a binding. If the binding is refused, no event
        reports that the host is free again."""
        self._expire()
        return bool(self._held)

    def versions(self) -> Counter[str]:
        """Return the versions of all classes, for `restore`."""
        return Counter(self._versions)

    def restore(self, versions: Counter[str]) -> None:
        """Set the versions back, because each change since was undone."""
        self._versions = versions

    def version_of_all(self) -> int:
        """Return a number that changes whenever any host changes."""
        return self._versions.total()

    def version(self, class_name: str) -> int:
        """Return a number that changes whenever `reasons` may change."""
        return self._versions[class_name]

    def total(self, class_name: str) -> int:
        """Return how many hosts the class has, free or not."""
        return self._totals[class_name]

    def reasons(self, class_name: str, want: Requirements) -> Counter[str]:
        """Count the reasons why no host fits, over the hosts that the Workload's namespace has or
        could have.

        This examines every free host. Hosts with claims, data or Reservations of other namespaces
        are not counted, because a tenant reads the numbers."""
        result = unfit_reasons(self._of(class_name), want)
        del result[NOT_OPEN]
        if own := self._claimed[class_name, want.namespace_uid]:
            result[OWN] = own
        return result

    def assume(self, name: str) -> int:
        """Keep the host from other Workloads while it is being bound. Return the number of the
        assumption."""
        class_name = self._class_of(name)
        self._serial += 1
        self._assumed[name] = self._clock.time() + ASSUMED_FOR, self._serial
        self._assumed.move_to_end(name)
        self._versions[class_name] += 1
        if (host := self._of(class_name).remove(name)) is not None:
            self._held[name] = host
        return self._serial

    def forget(self, name: str) -> None:
        """End the assumption of a host that was not bound, so that it is available again."""
        self._assumed.pop(name, None)
        if (host := self._held.pop(name, None)) is not None:
            class_name = self._class_of(name)
            self._versions[class_name] += 1
            self._free[class_name].add(host)

    def _expire(self) -> None:
        """End expired assumptions. They expire in the order of creation."""
        while self._assumed:
            name, (until, _) = next(iter(self._assumed.items()))
            if until > self._clock.time():
                return
            self.forget(name)


def unavailable_phrase(host: Object) -> str | None:
    """Return why the Host is not free, as a phrase that many hosts share, or None if it is free.

    The phrase is suitable for tenants."""
    reason = unavailable_reason(host)
    return None if reason is None else PHRASES.get(reason, "are not available")


PHRASES = {
    "Bound": "are claimed",
    "Claimed": "are being released",
    "Deleting": "are going away",
    "Dirty": NOT_OPEN,
    "HostError": "report an error",
    "InUse": "are in use",
    "NotHealthy": "report a hardware problem",
    "NotReady": "are not ready",
    "Quarantined": "are quarantined",
    CORDONED: "are unschedulable",
    "Unhealthy": "are unhealthy",
}
