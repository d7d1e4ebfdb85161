"""Track the Workloads that wait for a host, by class, and those that were just bound."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from heapq import heappop, heappush
from time import thread_time

from apiserver.client.clock import Clock
from apiserver.client.objects import Object, deleting
from controllers.runtime.controller import tenant_of
from controllers.scheduler.fit import Requirements

LOOK_AT_QUOTA, TRIES_PER_SECOND = 10.0, 5
"""The least seconds until a Workload without room in its namespace's quota is tried again, and the
most such tries per second of a namespace. Quotas are not watched."""
LOOKS_PER_SECOND = 200
SHARE, BURST = 0.2, 1.0
"""The share of CPU time that a namespace's repeated attempts to find hosts may take, and the
seconds by which they may exceed it."""
ASSUMED_FOR = 30.0
"""The seconds after which the event of a binding is not expected any more."""


def is_pending(workload: Object) -> bool:
    """Return whether the scheduler must find a host for the Workload.

    The Workload has none, is not being deleted, and did not lose one."""
    status = workload.get("status") or {}
    return not status.get("host") and not deleting(workload) and status.get("phase") != "Lost"


class PendingWorkloads:
    """Holds the keys of waiting Workloads by class. The class is "" while it is not known."""

    def __init__(self) -> None:
        self._class: dict[str, str] = {}
        self._keys: dict[str, dict[str, None]] = defaultdict(dict)

    def __len__(self) -> int:
        return len(self._class)

    def __contains__(self, key: str) -> bool:
        return key in self._class

    def add(self, key: str, class_name: str = "") -> None:
        """Add a Workload that waits for a host of this class."""
        self.remove(key)
        self._class[key] = class_name
        self._keys[class_name][key] = None

    def remove(self, key: str) -> None:
        """Remove a Workload. This has no effect if it does not wait."""
        class_name = self._class.pop(key, None)
        if class_name is not None:
            del self._keys[class_name][key]
            if not self._keys[class_name]:
                del self._keys[class_name]

    def of(self, class_name: str) -> list[str]:
        """Return the Workloads that wait for a host of this class, the longest-waiting first."""
        return list(self._keys.get(class_name, ()))

    def all(self) -> list[str]:
        """Return all waiting Workloads."""
        return list(self._class)


class PriorityQueues:
    """Holds the waiting Workloads that have not looked for a host since one became free.

    In a group, which has the Workloads of one namespace and one class, higher priorities come
    first."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[tuple[str, str], int]] = {}
        self._keys: dict[tuple[str, str], dict[int, set[str]]] = defaultdict(dict)
        self._heaps: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._sizes: Counter[tuple[str, str]] = Counter()

    def add(self, key: str, group: tuple[str, str], priority: int) -> None:
        """Add a Workload that is about to look for a host."""
        self.remove(key)
        self._due[key] = group, priority
        keys = self._keys[group]
        if priority not in keys:
            keys[priority] = set()
            heappush(self._heaps[group], -priority)
        keys[priority].add(key)
        self._sizes[group] += 1

    def remove(self, key: str) -> None:
        """Remove a Workload whose turn it was, or that does not wait any more. This has no effect
        on an unknown key."""
        found = self._due.pop(key, None)
        if found is None:
            return
        group, priority = found
        keys, heap = self._keys[group], self._heaps[group]
        keys[priority].discard(key)
        self._sizes[group] -= 1
        while heap and not keys.get(-heap[0]):
            keys.pop(-heappop(heap), None)
        if not heap:
            del self._keys[group], self._heaps[group], self._sizes[group]

    def waits(self, group: tuple[str, str], priority: int) -> bool:
        """Return whether a Workload of higher priority comes first."""
        heap = self._heaps.get(group, [])
        return bool(heap) and -heap[0] > priority

    def seconds(self, group: tuple[str, str]) -> float:
        """Return the seconds until a Workload of the group asks again whether it is its turn.

        So all Workloads that wait for a higher priority ask LOOKS_PER_SECOND times per second
        together."""
        return self._sizes[group] / LOOKS_PER_SECOND


class AssumedBindings:
    """Holds the Workloads that were bound, and whose watch event has not arrived yet.

    Like kube-scheduler's assumed pods, they are not bound again although the cache shows them
    without a host. The event that shows the host ends the assumption. Without that event, the
    assumption ends after ASSUMED_FOR."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, tuple[str, float]] = {}

    def assume(self, key: str, uid: str) -> None:
        """Add the Workload with this uid, which was just bound."""
        self._until[key] = uid, self._clock.time() + ASSUMED_FOR

    def forget(self, key: str) -> None:
        """Remove a Workload that has been seen with its host, or is gone."""
        self._until.pop(key, None)

    def seconds(self, key: str, uid: str) -> float:
        """Return for how long the Workload is still assumed to have a host; 0 if it is not."""
        known, until = self._until.get(key, ("", 0.0))
        left = until - self._clock.time()
        if known != uid or left <= 0:
            self.forget(key)
            return 0.0
        return left


class FullQuotas:
    """Holds the Workloads to which the quota of their namespace has refused a host.

    Each try makes the server count the hosts of the namespace. So the more such Workloads a
    namespace has, the longer each of them waits for its next try, whatever event queues it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refused: dict[str, tuple[float, str]] = {}
        self._count: Counter[str] = Counter()

    def add(self, key: str, message: str) -> None:
        """Add a Workload that was just refused."""
        if key not in self._refused:
            self._count[tenant_of(key)] += 1
        wait = max(LOOK_AT_QUOTA, self._count[tenant_of(key)] / TRIES_PER_SECOND)
        self._refused[key] = self._clock.time() + wait, message

    def forget(self, key: str) -> None:
        """Remove a Workload that has changed, or does not wait any more."""
        if self._refused.pop(key, None) is not None:
            self._count[tenant_of(key)] -= 1
            if not self._count[tenant_of(key)]:
                del self._count[tenant_of(key)]

    def seconds(self, key: str) -> float:
        """Return the seconds until the Workload is tried again without another event."""
        return max(0.0, self._refused.get(key, (0.0, ""))[0] - self._clock.time())

    def refusal(self, key: str) -> str | None:
        """Return why the Workload is not tried now, or None. If a namespace has only few, each is
        tried whenever an event queues it."""
        few = self._count[tenant_of(key)] <= LOOK_AT_QUOTA * TRIES_PER_SECOND
        return None if few or not self.seconds(key) else self._refused[key][1]


class ForbiddenBindings:
    """Holds the Workloads whose binding the API server forbids for another reason than a quota.

    A policy may forbid only some hosts, so a few hosts are tried at once, and others later. No host
    is kept from other Workloads meanwhile. As with quotas, the more such Workloads a namespace has,
    the longer each of them waits."""

    def __init__(self, clock: Clock, at_once: int) -> None:
        self._clock, self._at_once = clock, at_once
        self._forbidden: dict[str, tuple[float, int, str]] = {}
        self._count: Counter[str] = Counter()

    def add(self, key: str, message: str) -> bool:
        """Add a refusal. Return whether the Workload has to wait now."""
        if key not in self._forbidden:
            self._count[tenant_of(key)] += 1
        tries = self._forbidden.get(key, (0.0, 0, ""))[1] + 1
        waits = tries % self._at_once == 0
        wait = max(LOOK_AT_QUOTA, self._count[tenant_of(key)] * self._at_once / TRIES_PER_SECOND)
        self._forbidden[key] = self._clock.time() + (wait if waits else 0.0), tries, message
        return waits

    def forget(self, key: str) -> None:
        """Remove a Workload that has changed, or does not wait any more."""
        if self._forbidden.pop(key, None) is not None:
            self._count[tenant_of(key)] -= 1
            if not self._count[tenant_of(key)]:
                del self._count[tenant_of(key)]

    def seconds(self, key: str) -> float:
        """Return the seconds until the Workload is tried again."""
        return max(0.0, self._forbidden.get(key, (0.0, 0, ""))[0] - self._clock.time())

    def refusal(self, key: str) -> str | None:
        """Return why the Workload is not tried now, or None."""
        return self._forbidden[key][2] if self.seconds(key) else None

    def another(self, key: str, want: Requirements) -> Requirements:
        """Return the requirements with another seed, so that another one of equal hosts is
        chosen."""
        tries = self._forbidden.get(key, (0.0, 0, ""))[1]
        return replace(want, seed=f"{want.seed}/{tries}") if tries else want


class CPUBudget:
    """Bounds the CPU time for a namespace's Workloads with placement rules, and for its gangs.

    Each attempt to find a host compares a Workload with its neighbours. Any change of a neighbour
    or of a host causes new attempts of all of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._debts: dict[str, tuple[float, float]] = {}
        self._within = False

    @contextmanager
    def of(self, namespace: str) -> Iterator[None]:
        """Measure the attempt of the namespace in the block. Nested blocks count once."""
        begun, before = thread_time(), self._within
        self._within = True
        try:
            yield
        finally:
            self._within = before
            if not before:
                self.add(namespace, thread_time() - begun)

    def add(self, namespace: str, seconds: float) -> None:
        """Add the CPU seconds of an attempt."""
        self._debts[namespace] = self._clock.time(), self._debt(namespace) + seconds

    def seconds(self, namespace: str) -> float:
        """Return the seconds until the namespace may try again."""
        debt = self._debt(namespace)
        if not debt:
            self._debts.pop(namespace, None)
        return max(0.0, (debt - BURST) / SHARE)

    def _debt(self, namespace: str) -> float:
        since, debt = self._debts.get(namespace, (0.0, 0.0))
        return max(0.0, debt - SHARE * (self._clock.time() - since))
