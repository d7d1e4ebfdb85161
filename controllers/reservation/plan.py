"""Plan which hosts Reservations have: no host twice, and no more hosts moved than necessary.

A Reservation first has the hosts of its kind that Workloads of its namespace have, then the free
hosts that are set aside for it already, then other free hosts, the smallest that suffice. If these
are too few, it also marks hosts that are about to become free, such as those whose Workloads are
being deleted, so that others do not take them first. Nothing is taken from anybody.

Reservations of equal requirements share what is computed about hosts. So the work is linear in the
hosts for each kind of requirements.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from apiserver.apis.host import dirty_for, is_open_to, unavailable_reason
from apiserver.client.objects import Object, deleting, name_of, namespace_of, uid_of
from controllers.quotacharges import PASSING
from controllers.scheduler.fit import Candidate, Requirements, candidate, capacity, requirements_of, unsuitable_reason


@dataclass(frozen=True, slots=True)
class Active:
    """A Reservation that keeps hosts now, with the uid of its namespace."""

    reservation: Object
    namespace_uid: str

    @property
    def uid(self) -> str:
        return uid_of(self.reservation)

    @property
    def class_name(self) -> str:
        return str(self.reservation["spec"]["className"])

    @property
    def kind(self) -> object:
        """Return what Reservations have in common that the same hosts fit."""
        spec = self.reservation["spec"]
        asked = [self.class_name, spec.get("hostSelector"), spec.get("requirements")]
        return orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)

    @property
    def mark(self) -> Object:
        """Return Host.spec.reservedFor of its hosts."""
        name, namespace = name_of(self.reservation), namespace_of(self.reservation)
        return {"namespace": namespace, "namespaceUID": self.namespace_uid, "name": name, "uid": self.uid}


@dataclass(frozen=True, slots=True)
class Seen:
    """A Host as far as the plan looks at it.

    `holder` is the uid of the namespace whose Workload has it, "" if none has. `free` is whether it
    could be claimed now, `coming` whether it is about to become free."""

    name: str
    mark: Object | None
    machine: Candidate
    holder: str
    dirty_for: str | None
    free: bool
    coming: bool


def seen(host: Object, active: Container[str], leaving: Container[str] = ()) -> Seen | None:
    """Return the Host as the plan sees it, or None if it cannot be reserved.

    The mark of a Reservation that is not `active` counts as none. `leaving` has the names of Hosts
    whose Workloads are being deleted."""
    status, claim = host.get("status") or {}, host["spec"].get("claimRef")
    if not status.get("report") or deleting(host):
        return None
    reason, dirty = unavailable_reason(host), dirty_for(host)
    mark = host["spec"].get("reservedFor")
    if mark is not None and mark["uid"] not in active:
        mark = None
    coming = (reason in PASSING and not status.get("held")) or name_of(host) in leaving
    holder = str(claim.get("namespaceUID") or claim["namespace"]) if claim else ""
    return Seen(name_of(host), mark, candidate(host), holder, dirty, reason is None, coming)


def plan(active: Sequence[Active], hosts: Iterable[Object], leaving: Container[str] = ()) -> dict[str, Object | None]:
    """Return Host.spec.reservedFor by name, of all Hosts in which it has to change.

    `active` is in the order in which they choose, the oldest first. `leaving` has the names of
    Hosts whose Workloads are being deleted."""
    hosts = list(hosts)
    return _Plan(active, hosts, leaving).changes(hosts)


@dataclass(slots=True)
class _Kinds:
    """The hosts that fit each kind of requirements, the smallest first."""

    classes: dict[str, list[Seen]]
    _known: dict[object, deque[Seen]] = field(default_factory=dict)

    def of(self, one: Active, want: Requirements) -> deque[Seen]:
        """Return the hosts. A caller removes those that are taken."""
        kind = one.kind
        if kind not in self._known:
            fitting = (host for host in self.classes.get(one.class_name, ()) if unsuitable_reason(host.machine, want) is None)
            self._known[kind] = deque(sorted(fitting, key=lambda host: (capacity(host.machine, want), host.name)))
        return self._known[kind]


class _Plan:
    """One plan. `taken` has the Reservation of each host that has one."""

    def __init__(self, active: Sequence[Active], hosts: Sequence[Object], leaving: Container[str]) -> None:
        self.taken: dict[str, Active] = {}
        uids = {one.uid for one in active}
        self._known = {host.name: (str(one["spec"]["className"]), host) for one in hosts if (host := seen(one, uids, leaving)) is not None}
        self._marked: dict[str, list[Seen]] = defaultdict(list)
        self._held: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        self._sort()
        wants = {one.uid: requirements_of(one.reservation, one.namespace_uid) for one in active}
        left = {one.uid: one.reservation["spec"]["hosts"] for one in active}
        # Each step is finished for all, so that the next plan decides the same.
        for step in (self._marked_and_used, self._used, self._marked_and_free):
            for one in active:
                left[one.uid] -= self._take(one, step(one, wants[one.uid]), left[one.uid])
        self._fill(active, wants, left)

    def _sort(self) -> None:
        for class_name, host in self._known.values():
            if host.mark is not None:
                self._marked[host.mark["uid"]].append(host)
            if host.holder:
                self._held[class_name, host.holder].append(host)

    def _take(self, one: Active, hosts: Iterator[Seen], most: int) -> int:
        """Give the Reservation hosts that no other one has. Return how many it got."""
        number = 0
        while number < most and (host := next(hosts, None)) is not None:
            if host.name not in self.taken:
                self.taken[host.name] = one
                number += 1
        return number

    def _marked_and_used(self, one: Active, want: Requirements) -> Iterator[Seen]:
        """Yield the marked hosts that Workloads of the namespace have."""
        return (host for host in self._marked[one.uid] if self._is_own(one, host) and self._fits(one, host, want))

    def _used(self, one: Active, want: Requirements) -> Iterator[Seen]:
        """Yield the other hosts that Workloads of the namespace have."""
        for holder in (one.namespace_uid, namespace_of(one.reservation)):
            left = (host for host in self._held.get((one.class_name, holder), ()) if host.name not in self.taken)
            yield from (host for host in left if unsuitable_reason(host.machine, want) is None)

    def _marked_and_free(self, one: Active, want: Requirements) -> Iterator[Seen]:
        return (host for host in self._marked[one.uid] if host.free and self._fits(one, host, want))

    def _is_own(self, one: Active, host: Seen) -> bool:
        return host.holder in (one.namespace_uid, namespace_of(one.reservation))

    def _fits(self, one: Active, host: Seen, want: Requirements) -> bool:
        """Return whether a marked host is still of the kind that the Reservation asks for."""
        same = self._known[host.name][0] == one.class_name and is_open_to(host.dirty_for, one.namespace_uid)
        return same and unsuitable_reason(host.machine, want) is None

    def _fill(self, active: Sequence[Active], wants: dict[str, Requirements], left: dict[str, int]) -> None:
        """Give the Reservations what they lack: free hosts first, then hosts that will be free."""
        free, coming = _Kinds(defaultdict(list)), _Kinds(defaultdict(list))
        own: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        for class_name, host in self._known.values():
            if host.name in self.taken or (host.holder and not host.coming):
                continue
            if host.dirty_for is not None:
                own[class_name, host.dirty_for].append(host)
            elif host.free:
                free.classes[class_name].append(host)
            elif host.coming:
                coming.classes[class_name].append(host)
        for one in active:
            want, uid = wants[one.uid], one.uid
            dirty = (host for host in own[one.class_name, one.namespace_uid] if unsuitable_reason(host.machine, want) is None)
            left[uid] -= self._take(one, (host for host in dirty if host.free), left[uid])
            left[uid] -= self._take(one, self._popped(free.of(one, want)), left[uid]) if left[uid] else 0
        for one in active:
            marked = (host for host in self._marked[one.uid] if (host.coming or not host.holder) and self._fits(one, host, wants[one.uid]))
            left[one.uid] -= self._take(one, marked, left[one.uid])
        for one in active:
            left[one.uid] -= self._take(one, self._popped(coming.of(one, wants[one.uid])), left[one.uid]) if left[one.uid] else 0

    def _popped(self, hosts: deque[Seen]) -> Iterator[Seen]:
        while hosts:
            yield hosts.popleft()

    def changes(self, hosts: Sequence[Object]) -> dict[str, Object | None]:
        """Return the marks that differ from those of the Hosts."""
        found: dict[str, Object | None] = {}
        for host in hosts:
            one = self.taken.get(name_of(host))
            mark = one.mark if one is not None else None
            if mark != host["spec"].get("reservedFor"):
                found[name_of(host)] = mark
        return found
