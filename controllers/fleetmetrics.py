"""Measure the fleet: hosts by class and state, Workloads by phase, sets, leases, and how long
things take.

The counts follow the informers' events, so that a scrape costs nothing per host. Labels are names
of classes, which the owner creates, and fixed words. The name of a class that does not exist, which
a tenant may write, becomes the label "".
"""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiserver.apis.host import reserved_for, unavailable_reason
from apiserver.apis.names import LEASE_EXPIRED as EXPIRED
from apiserver.apis.workload import RAN_PHASES, host_of
from apiserver.client import tracing
from apiserver.client.clock import seconds_of
from apiserver.client.objects import Object, deleting, key_of, name_of, uid_of
from controllers.classaccess import default_class, is_connected
from controllers.cluster import Cluster
from controllers.gangcounts import has_host
from controllers.host.abandoned import ABANDONED
from controllers.runtime.conditions import find_condition, is_true
from controllers.workload.lease import EXPIRING
from controllers.workloadclass.status import UNHEALTHY
from controllers.workloadset.status import SET_STATES, state_of_set

STATES = ("free", "claimed", "abandoned", "orphaned", "dirty", "reserved", "unhealthy", "unavailable")
MEMBER_STATES = ("available", "unavailable")
LEASE_STATES = ("running", "ending", "ended")
PHASES = ("Pending", "Bound", "Provisioning", "Running", "Stopped", "Deprovisioning", "Failed", "Lost")
BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0, 7200.0, 14400.0)
UNSCHEDULED = "Unscheduled"
"""The reason of a Workload that the scheduler has not looked at yet."""
REASONS = 32
"""The most reasons that become labels. Rarer reasons share the label Other."""

Key = TypeVar("Key", bound=tuple[str, ...])
Waiting = tuple[str, str, float]


class FleetMetrics(Collector):
    """The metrics of the hosts, classes and Workloads of one cluster.

    Process every change of an object by the method of its kind. `known(name)` returns whether a
    WorkloadClass exists. `clock` returns the seconds since the epoch. `default()` returns the
    default class."""

    def __init__(
        self,
        known: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
        *,
        default: Callable[[], Object | None] = lambda: None,
    ) -> None:
        self._known, self._clock, self._default = known, clock, default
        self._hosts: Counts[tuple[str, str]] = Counts()
        self._workloads: Counts[tuple[str, str]] = Counts()
        self._sets: Counts[tuple[str, str]] = Counts()
        self._members: Counts[tuple[str, str]] = Counts()
        self._leases: Counts[tuple[str, str]] = Counts()
        self._connected: dict[str, bool] = {}
        self._waiting: dict[str, Waiting] = {}
        self._starting: set[str] = set()
        self._over: set[str] = set()
        """The uids of Workloads whose lease has ended."""
        self._releasing: dict[str, tuple[str, float]] = {}
        self._time_to_running = _histogram("time_to_running", "Time from a Workload's creation until it runs for the first time.")
        self._release_time = _histogram("release_duration", "Time from the deletion of a Workload until its host is released.")
        self._failures = _counter("provisioning_failures", "Installations that failed, retries included.")
        self._lost = _counter("claims_lost", "Workloads whose machine was lost.")
        self._ended = _counter("leases_ended", "Workloads whose lease ended.")

    def class_changed(self, old: Object | None, new: Object | None) -> None:
        """Process a change of a WorkloadClass."""
        if new is None:
            self._connected.pop(name_of(old or {}), None)
            return
        self._connected[name_of(new)] = is_connected(new)
        # Create each counter at zero: PromQL's increase() misses the first failure of a counter
        # that appears with it.
        for counter in (self._failures, self._lost, self._ended):
            counter.labels(name_of(new))

    def host_changed(self, old: Object | None, new: Object | None) -> None:
        """Process a change of a Host."""
        _move(self._hosts, _host_key(old), _host_key(new))

    def set_changed(self, old: Object | None, new: Object | None) -> None:
        """Process a change of a WorkloadSet."""
        _move(self._sets, _set_key(old), _set_key(new))
        _add(self._members, _members(old), -1)
        _add(self._members, _members(new), 1)

    def workload_changed(self, old: Object | None, new: Object | None) -> None:
        """Process a change of a Workload."""
        _move(self._workloads, _workload_key(old), _workload_key(new))
        _move(self._leases, _lease_key(old), _lease_key(new))
        uid = uid_of(new or old or {})
        if new is None:
            self._gone(uid)
            return
        before, phase = _phase(old), _phase(new)
        if phase == "Pending":
            self._waiting[uid] = (_class(new), _reason(new), seconds_of(new["metadata"]["creationTimestamp"]))
        else:
            self._waiting.pop(uid, None)
        self._measure_start(uid, old, new, phase)
        if _has_ended(new):
            self._count_end(uid, old, new)
        if has_host(new) and new["metadata"].get("deletionTimestamp"):
            self._releasing[uid] = (_class(new), seconds_of(new["metadata"]["deletionTimestamp"]))
        if old is not None and before != phase:
            self._count(new, phase)

    def collect(self) -> Iterator[Metric]:
        """Return the present values."""
        yield _gauge("hosts", "Hosts by their class and state.", ("class", "state"), _filled(self._hosts, self._connected, STATES))
        workloads = _filled(self._folded(self._workloads), self._connected, PHASES)
        yield _gauge("workloads", "Workloads by their class and phase.", ("class", "phase"), workloads)
        connected = {(name,): float(value) for name, value in self._connected.items()}
        yield _gauge("class_connected", "Whether the class's source of machines answers.", ("class",), connected)
        yield from self._collect_sets()
        leases = _filled(self._folded(self._leases), self._connected, LEASE_STATES)
        yield _gauge("leases", "Workloads with a lease by their class and the lease's state.", ("class", "state"), leases)
        yield from self._collect_waits()
        for metric in (self._time_to_running, self._release_time, self._failures, self._lost, self._ended):
            yield from metric.collect()

    def _collect_sets(self) -> Iterator[Metric]:
        """Return the metrics of sets. A set that names no class counts for the present default
        class."""
        names = ("class", "state")
        found = self._default()
        default = name_of(found) if found is not None else ""
        sets = _filled(self._folded(self._sets, default), self._connected, SET_STATES)
        yield _gauge("workloadsets", "WorkloadSets by the class of their template and their state.", names, sets)
        members = _filled(self._folded(self._members, default), self._connected, MEMBER_STATES)
        yield _gauge("workloadset_members", "Members that WorkloadSets ask for, by class and whether they are available.", names, members)

    def _collect_waits(self) -> Iterator[Metric]:
        now = self._clock()
        numbers, oldest = Counts[tuple[str, str]](), dict[tuple[str, str], float]()
        common = _common(reason for _, reason, _ in self._waiting.values())
        for class_name, reason, since in self._waiting.values():
            key = (self._fold(class_name), reason if reason in common else "Other")
            numbers[key] += 1
            oldest[key] = max(oldest.get(key, 0.0), now - since)
        names = ("class", "reason")
        yield _gauge("workloads_waiting", "Workloads without a host by the reason why they wait.", names, numbers)
        yield _gauge("oldest_waiting_seconds", "Time that the oldest Workload without a host has waited.", names, oldest)
        releasing = dict.fromkeys(((name,) for name in self._connected), 0.0)
        for class_name, since in self._releasing.values():
            one = (self._fold(class_name),)
            releasing[one] = max(releasing.get(one, 0.0), now - since)
        yield _gauge("oldest_releasing_seconds", "Time that the oldest release has taken so far.", ("class",), releasing)

    def _measure_start(self, uid: str, old: Object | None, new: Object, phase: str) -> None:
        """Observe the first Running of a Workload whose spec never changed.

        A Workload that is first seen during its installation may have run before, but that is
        rare."""
        if new["metadata"].get("generation", 1) != 1 or phase == "Stopped":
            self._starting.discard(uid)
        elif old is None and phase not in RAN_PHASES:
            self._starting.add(uid)
        elif phase == "Running" and uid in self._starting:
            self._starting.discard(uid)
            created = seconds_of(new["metadata"]["creationTimestamp"])
            self._time_to_running.labels(self._fold(_class(new))).observe(max(0.0, self._clock() - created))
            if (tracer := tracing.active.tracer) is not None:
                tracer.lived("time to Running", uid, created, {"k8s.object.key": key_of(new), "class": _class(new)})

    def _count_end(self, uid: str, old: Object | None, new: Object) -> None:
        """Count the Workload once, also if a process takes the end of its lease back, and reports
        it again later."""
        if old is not None and not _has_ended(old) and uid not in self._over:
            self._ended.labels(self._fold(_class(new))).inc()
        self._over.add(uid)

    def _count(self, workload: Object, phase: str) -> None:
        if phase == "Failed":
            self._failures.labels(self._fold(_class(workload))).inc()
        if phase == "Lost":
            self._lost.labels(self._fold(_class(workload))).inc()

    def _gone(self, uid: str) -> None:
        self._starting.discard(uid)
        self._over.discard(uid)
        self._waiting.pop(uid, None)
        if (released := self._releasing.pop(uid, None)) is not None:
            class_name, since = released
            self._release_time.labels(self._fold(class_name)).observe(max(0.0, self._clock() - since))

    def _fold(self, class_name: str) -> str:
        return class_name if self._known(class_name) else ""

    def _folded(self, counts: Counts[tuple[str, str]], default: str = "") -> Counts[tuple[str, str]]:
        folded = Counts[tuple[str, str]]()
        for (class_name, phase), number in counts.items():
            folded[self._fold(class_name or default), phase] += number
        return folded


def follow(cluster: Cluster) -> FleetMetrics:
    """Return the metrics of a cluster whose informers are not started yet."""
    metrics = FleetMetrics(
        lambda name: name in cluster.classes.store,
        default=lambda: default_class(cluster.classes.store),
    )
    cluster.classes.add_handler(metrics.class_changed)
    cluster.hosts.add_handler(metrics.host_changed)
    cluster.workloads.add_handler(metrics.workload_changed)
    cluster.sets.add_handler(metrics.set_changed)
    return metrics


def state_of(host: Object) -> str:
    """Return one of STATES.

    Free hosts that only one namespace may have are dirty, or reserved. The claim of an abandoned
    host has no Workload any more. An orphaned host names a Workload, and has no claim."""
    status = host.get("status") or {}
    if host["spec"].get("claimRef"):
        return "claimed" if find_condition(status.get("conditions"), ABANDONED) is None else "abandoned"
    if status.get("reason") == "Orphaned":
        return "orphaned"
    if unavailable_reason(host) is None:
        return "dirty" if status.get("dirtyFor") else "free" if reserved_for(host) is None else "reserved"
    return "unhealthy" if status.get("reason") in UNHEALTHY else "unavailable"


def _host_key(host: Object | None) -> tuple[str, str] | None:
    return None if host is None else (host["spec"]["className"], state_of(host))


def _workload_key(workload: Object | None) -> tuple[str, str] | None:
    return None if workload is None else (_class(workload), _phase(workload))


def _class(workload: Object) -> str:
    bound = host_of(workload)
    return str(bound.get("class") or workload["spec"].get("className") or "")


def _set_key(set_: Object | None) -> tuple[str, str] | None:
    return None if set_ is None or deleting(set_) else (_template_class(set_), state_of_set(set_))


def _template_class(set_: Object) -> str:
    return set_["spec"]["template"]["spec"].get("className") or ""


def _members(set_: Object | None) -> dict[tuple[str, str], int]:
    """Return how many of the wanted members are in each of MEMBER_STATES, by class and state."""
    if set_ is None or deleting(set_):
        return {}
    class_name, wanted = _template_class(set_), set_["spec"]["replicas"]
    available = min(wanted, (set_.get("status") or {}).get("availableReplicas") or 0)
    return {(class_name, "available"): available, (class_name, "unavailable"): wanted - available}


def _lease_key(workload: Object | None) -> tuple[str, str] | None:
    """Return the class and the state of a Workload's lease, None without a lease.

    The state is `ended` from the end of the lease until the Workload is deleted."""
    if workload is None or not (workload.get("status") or {}).get("lease") or deleting(workload):
        return None
    ending = is_true(workload["status"].get("conditions"), EXPIRING)
    return _class(workload), "ended" if _has_ended(workload) else "ending" if ending else "running"


def _has_ended(workload: Object) -> bool:
    return is_true((workload.get("status") or {}).get("conditions"), EXPIRED)


def _phase(workload: Object | None) -> str:
    phase = ((workload or {}).get("status") or {}).get("phase")
    return phase if phase in PHASES else "Pending"


def _reason(workload: Object) -> str:
    found = find_condition((workload.get("status") or {}).get("conditions"), "Bound")
    return str(found["reason"]) if found is not None and found["status"] == "False" else UNSCHEDULED


def _common(reasons: Iterable[str]) -> set[str]:
    return {reason for reason, _ in Counts(reasons).most_common(REASONS)}


def _move(counts: Counts[tuple[str, str]], before: tuple[str, str] | None, after: tuple[str, str] | None) -> None:
    if before == after:
        return
    if before is not None:
        _add(counts, {before: 1}, -1)
    if after is not None:
        _add(counts, {after: 1}, 1)


def _add(counts: Counts[tuple[str, str]], numbers: Mapping[tuple[str, str], int], sign: int) -> None:
    """Add numbers to the counts, and drop counts that become 0: a tenant may name any number of
    classes."""
    for key, number in numbers.items():
        counts[key] += sign * number
        if not counts[key]:
            del counts[key]


def _filled(counts: Counts[tuple[str, str]], classes: Iterable[str], words: Iterable[str]) -> dict[tuple[str, str], float]:
    """Return the counts, with 0 for each word of which a class has no objects."""
    return {**dict.fromkeys(((name, word) for name in classes for word in words), 0.0), **counts}


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Mapping[Key, float]) -> Metric:
    family = GaugeMetricFamily(f"metal3_workloads_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str) -> Histogram:
    return Histogram(f"metal3_workloads_{name}_seconds", text, ["class"], buckets=BUCKETS, registry=None)


def _counter(name: str, text: str) -> Counter:
    return Counter(f"metal3_workloads_{name}_total", text, ["class"], registry=None)
