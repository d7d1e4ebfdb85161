"""Plan the hosts of a gang as a whole, and remember which member gets which host.

A plan is made only if enough members can have hosts together. All its hosts are assumed at once, so
that nothing else is chosen for them while the members are bound one after the other. A plan is not
stored: after a restart, the rest of the gang is planned again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from apiserver.client.objects import Object, key_of, namespace_of, uid_of
from controllers.cluster import gang_key
from controllers.gangcounts import gang_counts
from controllers.scheduler.cache import SchedulerCache
from controllers.scheduler.fit import Requirements, demand, requirements_of
from controllers.scheduler.matching import plan, too_different
from controllers.scheduler.placedworkloads import PlacedWorkloads
from controllers.scheduler.placementrules import counts_others, selected
from controllers.scheduler.schedulingqueue import is_pending

MOST_RULED = 128
"""The most members with spread or anti-affinity that are planned at once, because each of them
counts all others."""
MOST_COMPARED = 1_000_000
"""The most labels and values that the selectors in one such plan compare with Workloads."""


MOST_TOGETHER = 4_000
"""The most members that are planned at once without counting each other. A gang needs at most a
quarter of them."""
_NOTHING = "", 0, "", 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Says why no member of a gang gets a host now, with the reason and the message of a
    condition."""

    reason: str
    message: str


class Scheduling(Protocol):
    """Declares what a plan uses of the scheduler."""

    def wanted(self, workload: Object) -> tuple[str, Requirements] | None:
        """Return the class of a Workload, and its requirements with the other Workloads where they
        are now. Return None if it cannot have a host of any class."""


class Gangs:
    """Makes and keeps the plans of gangs."""

    def __init__(self, scheduling: Scheduling, free: SchedulerCache, places: PlacedWorkloads) -> None:
        self._scheduling, self._free, self._placed_workloads = scheduling, free, places
        self._planned: dict[str, tuple[str, int, str, int]] = {}
        self._refused: dict[str, dict[str, tuple[object, Refusal]]] = defaultdict(dict)
        self._put_off: dict[str, tuple[float, Refusal]] = {}

    def changed(self, namespace: str) -> None:
        """Forget the refusals of a namespace in which a Workload has changed. Any plan of that
        namespace may count it."""
        self._refused.pop(namespace, None)

    def all_changed(self) -> None:
        """Forget all refusals, because a rule on which they depend has changed."""
        self._refused.clear()

    def gone(self, gang: str) -> None:
        """Forget a gang without members."""
        self._refused.get(gang.partition("/")[0], {}).pop(gang, None)
        self._put_off.pop(gang, None)

    def put_off(self, members: Iterable[Object], refusal: Refusal, until: float) -> None:
        """Free the hosts planned for a gang whose quota is full, and plan none until the time
        `until`.

        Otherwise, a gang that can never have its hosts would keep them from all others."""
        for member in members:
            self.drop(member)
            self._put_off[gang_key(member)[0]] = until, refusal

    def is_put_off(self, workload: Object, now: float) -> Refusal | None:
        """Return why nothing is planned for the Workload's gang for a while, or None."""
        until, refusal = self._put_off.get(gang_key(workload)[0], (0.0, None))
        return refusal if now < until else None

    def is_planned(self, key: str) -> bool:
        """Return whether the member has a host in a plan."""
        return key in self._planned

    def take(self, workload: Object) -> str | None:
        """Return the (assumed) host that was planned for the Workload, and remove it from the plan.
        Return None if the Workload has changed since."""
        uid, generation, host, serial = self._planned.pop(key_of(workload), _NOTHING)
        if not host or not self._free.is_assumed(host, serial):
            return None
        if (uid, generation) == _state(workload):
            return host
        self._give_up(workload, host)
        return None

    def drop(self, workload: Object) -> None:
        """Free the host that is planned for a Workload, which does not wait any more."""
        _, _, host, serial = self._planned.pop(key_of(workload), _NOTHING)
        if host and self._free.is_assumed(host, serial):
            self._give_up(workload, host)

    def _give_up(self, workload: Object, host: str) -> None:
        self._free.forget(host)
        self._placed_workloads.forget(workload, host)

    def refused(self, workload: Object) -> Refusal | None:
        """Return why a plan for the Workload's gang was refused, if nothing has changed since."""
        hosts, refusal = self._refused.get(namespace_of(workload), {}).get(gang_key(workload)[0], (None, None))
        return refusal if hosts == self._free.version_of_all() else None

    def make(self, workload: Object, members: Iterable[Object], bound: set[str]) -> Refusal | list[str] | None:
        """Plan hosts for the waiting members. Return their keys, or why none of them gets a host.

        Returns None if enough members have hosts: the others then get hosts one by one. `bound` has
        the keys of members whose binding was sent."""
        members = list(members)
        now = gang_counts(members)
        placed = {key for member in members if (key := key_of(member)) in self._planned or key in bound}
        missing = now.missing - len(placed)
        if missing <= 0:
            return None
        name = workload["spec"]["gang"]["name"]
        if now.members < now.needed:
            message = f'the gang "{name}" needs {now.needed} Workloads and has fewer: it waits until the others are created'
            return self._refuse(workload, Refusal("GangIncomplete", message))
        waiting = [
            member for member in members if is_pending(member) and not member["spec"].get("hostRef") and key_of(member) not in placed
        ]
        result = self._plan(waiting)
        if isinstance(result, Refusal):
            return self._refuse(workload, result)
        if len(result) < missing:
            for member in waiting:
                if (host := result.get(key_of(member))) is not None:
                    self._placed_workloads.forget(member, host)
            message = f'the gang "{name}" needs hosts for {missing} more members at once, and there are hosts for {len(result)} of them'
            return self._refuse(workload, Refusal("GangWaits", message))
        for member in waiting:
            if (host := result.get(key_of(member))) is not None:
                self._placed_workloads.assume(member, host)
                self._planned[key_of(member)] = *_state(member), host, self._free.assume(host)
        return list(result)

    def _refuse(self, workload: Object, refusal: Refusal) -> Refusal:
        self._refused[namespace_of(workload)][gang_key(workload)[0]] = self._free.version_of_all(), refusal
        return refusal

    def _plan(self, waiting: list[Object]) -> dict[str, str] | Refusal:
        """Return hosts by the keys of members, without assuming them."""
        ruled = any(self._placed_workloads.has_rules(member) or member["spec"].get("failureDomain") for member in waiting)
        counting = any(counts_others(member) for member in waiting) or self._placed_workloads.keeps_apart(waiting)
        if len(waiting) > MOST_TOGETHER:
            return Refusal("TooComplex", f"{len(waiting)} members of a gang wait for hosts: use at most {MOST_TOGETHER}")
        if counting and len(waiting) > MOST_RULED:
            message = f"{len(waiting)} members of a gang with spread or anti-affinity wait: use at most {MOST_RULED}"
            return Refusal("TooComplex", message)
        if counting and (compared := self._compared(waiting)) > MOST_COMPARED:
            message = f"the gang's selectors compare {compared} labels of Workloads: use at most {MOST_COMPARED}, by fewer members or terms"
            return Refusal("TooComplex", message)
        if ruled and len(waiting) <= MOST_RULED:
            chosen = self._one_by_one(waiting)
            if counting or len(chosen) == len(waiting):
                return chosen
        return self._together(waiting)

    def _compared(self, waiting: list[Object]) -> int:
        """Return how many labels and values a plan compares with Workloads, for the selectors of
        these members and of the Workloads beside them."""
        others = [one.workload for one in self._placed_workloads.neighbours(next(filter(counts_others, waiting), waiting[0]))]
        all_ = [*others, *waiting]
        return sum(map(selected, waiting)) * len(all_) + sum(selected(one, required=True) for one in all_) * len(waiting)

    def _together(self, waiting: list[Object]) -> dict[str, str] | Refusal:
        """Return a plan that matches all members of a class with hosts together."""
        wants: dict[str, dict[str, Requirements]] = defaultdict(dict)
        for member in waiting:
            if (found := self._scheduling.wanted(member)) is not None:
                wants[found[0]][key_of(member)] = found[1]
        if (problem := next(filter(None, (too_different(of.values()) for of in wants.values())), None)) is not None:
            return Refusal("TooComplex", problem)
        return _merged(plan(self._free.hosts(class_name), of).hosts for class_name, of in wants.items())

    def _one_by_one(self, waiting: list[Object]) -> dict[str, str]:
        """Return a plan that chooses a host for one member after the other, the largest demand
        first. Each choice counts the members on the hosts that were chosen before."""
        chosen: dict[str, str] = {}
        versions = self._free.versions()
        for member in sorted(waiting, key=lambda member: -demand(requirements_of(member))):
            found = self._scheduling.wanted(member)
            host = self._free.best(*found) if found is not None else None
            if host is not None:
                self._free.assume(host)
                self._placed_workloads.assume(member, host)
                chosen[key_of(member)] = host
        for member in waiting:
            if (host := chosen.get(key_of(member))) is not None:
                self._give_up(member, host)
        self._free.restore(versions)
        return chosen


def _merged(plans: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {key: host for one in plans for key, host in one.items()}


def _state(workload: Object) -> tuple[str, int]:
    return uid_of(workload), int(workload["metadata"].get("generation") or 0)
