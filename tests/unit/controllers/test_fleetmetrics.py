"""Check the metrics of the fleet against histories of objects."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from apiserver.apis.names import LEASE_EXPIRED as EXPIRED
from controllers.fleetmetrics import REASONS, FleetMetrics, state_of
from controllers.workload.lease import EXPIRING
from controllers.workloadset.status import SET_STATES
from tests.unit.cost import assert_cheaper

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.client.objects import Object

CREATED = 1_800_000_000.0


class Fleet:
    """A fleet with the classes metal and virtual, whose clock the test sets."""

    def __init__(self) -> None:
        self.now = CREATED
        self.classes = {"metal", "virtual"}
        self.default: Object | None = None
        self.metrics = FleetMetrics(lambda name: name in self.classes, lambda: self.now, default=lambda: self.default)
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics)
        for name in sorted(self.classes):
            self.metrics.class_changed(None, class_(name))
        self._workloads: dict[str, Object] = {}

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"metal3_workloads_{name}", {key.rstrip("_"): text for key, text in labels.items()})

    def workload(self, name: str, phase: str | None = None, **fields: Any) -> None:
        """Show a Workload as it is now."""
        old, new = self._workloads.get(name), workload(name, phase, **fields)
        self._workloads[name] = new
        self.metrics.workload_changed(old, new)

    def remove(self, name: str) -> None:
        self.metrics.workload_changed(self._workloads.pop(name), None)


def class_(name: str, connected: str = "True") -> Object:
    return {"metadata": {"name": name, "uid": name}, "spec": {}, "status": {"conditions": [{"type": "Connected", "status": connected}]}}


def host(claimed: bool = False, class_name: str = "metal", **status: Any) -> Object:
    spec: Object = {"className": class_name, "claimRef": {"uid": "u"} if claimed else None}
    return {"metadata": {"name": "h", "uid": "h"}, "spec": spec, "status": {"report": {}, **status}}


def workload(
    name: str,
    phase: str | None = None,
    *,
    class_name: str = "metal",
    reason: str = "",
    bound: bool = False,
    deleted: float | None = None,
    generation: int = 1,
) -> Object:
    metadata: Object = {"name": name, "uid": name, "creationTimestamp": stamp(CREATED), "generation": generation}
    if deleted is not None:
        metadata["deletionTimestamp"] = stamp(deleted)
    status: Object = {"phase": phase} if phase else {}
    if reason:
        status["conditions"] = [{"type": "Bound", "status": "False", "reason": reason}]
    if bound:
        status["host"] = {"name": "h", "class": class_name}
    return {"metadata": metadata, "spec": {"className": class_name}, "status": status}


def set_(replicas: int = 3, available: int = 0, *, class_name: str = "metal", **conditions: str) -> Object:
    """Return a set; `conditions` are the reasons of those that are False, or True as `Stalled`."""
    stored = [
        {"type": kind, "status": str(kind == "Stalled" or not reason), "reason": reason.partition(":")[0], "message": reason}
        for kind, reason in conditions.items()
    ]
    spec: Object = {"replicas": replicas, "template": {"spec": {"className": class_name} if class_name else {}}}
    return {"metadata": {"name": "s", "uid": "s"}, "spec": spec, "status": {"availableReplicas": available, "conditions": stored}}


def leased(*conditions: str, deleted: bool = False) -> Object:
    """Return a Workload with a lease and these conditions."""
    made = workload("l", "Running", bound=True, deleted=CREATED if deleted else None)
    stored = [{"type": kind, "status": "True"} for kind in conditions]
    return {**made, "status": {**made["status"], "lease": {"expirationTimestamp": stamp(CREATED)}, "conditions": stored}}


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reserved(of: Object) -> Object:
    return {**of, "spec": {**of["spec"], "reservedFor": {"namespace": "a", "namespaceUID": "1", "name": "r", "uid": "2"}}}


@pytest.mark.parametrize(
    ("of", "state"),
    [
        (host(available=True, report={"a": 1}), "free"),
        (host(available=True, report={"a": 1}, dirtyFor="a"), "dirty"),
        (reserved(host(available=True, report={"a": 1})), "reserved"),
        (reserved(host(available=True, report={"a": 1}, dirtyFor="a")), "dirty"),
        (reserved(host(claimed=True, report={"a": 1})), "claimed"),
        (host(claimed=True, report={"a": 1}, reason="Unhealthy"), "claimed"),
        (host(claimed=True, report={"a": 1}, conditions=[{"type": "Abandoned", "status": "True"}]), "abandoned"),
        (
            host(claimed=True, report={"a": 1}, conditions=[{"type": "Abandoned", "status": "Unknown", "reason": "StoreDamaged"}]),
            "abandoned",
        ),
        (host(available=False, report={"a": 1}, reason="Orphaned"), "orphaned"),
        (host(available=False, report={"a": 1}, reason="Quarantined"), "unhealthy"),
        (host(available=False, report={"a": 1}, reason="InUse"), "unavailable"),
        (host(), "unavailable"),
    ],
)
def test_each_host_has_one_state(of: Object, state: str) -> None:
    assert state_of(of) == state


def test_the_states_of_a_class_add_up_to_its_hosts() -> None:
    fleet, free = Fleet(), host(available=True, report={"a": 1})
    fleet.metrics.host_changed(None, free)
    fleet.metrics.host_changed(None, host(available=False, report={"a": 1}, reason="InUse"))
    fleet.metrics.host_changed(free, taken := host(claimed=True))
    assert fleet.value("hosts", class_="metal", state="claimed") == 1
    assert fleet.value("hosts", class_="metal", state="unavailable") == 1
    assert fleet.value("hosts", class_="metal", state="free") == 0
    assert fleet.value("hosts", class_="virtual", state="free") == 0, "a class without hosts is shown"
    fleet.metrics.host_changed(taken, None)
    assert fleet.value("hosts", class_="metal", state="claimed") == 0


def test_time_to_running_is_measured_once() -> None:
    fleet = Fleet()
    for number, phase in enumerate((None, "Pending", "Bound", "Provisioning", "Running", "Failed", "Running")):
        fleet.now = CREATED + 10.0 * number
        fleet.workload("a", phase, bound=phase not in (None, "Pending"))
    assert fleet.value("time_to_running_seconds_sum", class_="metal") == 40
    assert fleet.value("time_to_running_seconds_count", class_="metal") == 1
    assert fleet.value("workloads", class_="metal", phase="Running") == 1
    assert fleet.value("workloads", class_="metal", phase="Failed") == 0


@pytest.mark.parametrize("first", [{"phase": "Running"}, {"phase": "Provisioning", "generation": 2}, {"phase": "Stopped"}])
def test_what_ran_before_this_process_started_is_not_measured(first: dict[str, Any]) -> None:
    fleet = Fleet()
    fleet.now = CREATED + 86_400
    fleet.workload("a", bound=True, **first)
    fleet.workload("a", "Provisioning", bound=True, generation=first.get("generation", 1))
    fleet.workload("a", "Running", bound=True, generation=first.get("generation", 1))
    assert fleet.value("time_to_running_seconds_count", class_="metal") is None


def test_failed_installations_and_lost_machines_are_counted_as_they_happen() -> None:
    fleet = Fleet()
    assert fleet.value("provisioning_failures_total", class_="metal") == 0, "an increase needs a beginning"
    for phase in ("Provisioning", "Failed", "Failed", "Provisioning", "Failed", "Lost", "Lost"):
        fleet.workload("a", phase, bound=True)
    fleet.workload("b", "Failed", bound=True)
    assert fleet.value("provisioning_failures_total", class_="metal") == 2, "b failed before this process started"
    assert fleet.value("claims_lost_total", class_="metal") == 1
    assert fleet.value("claims_lost_total", class_="virtual") == 0


def test_waiting_workloads_are_shown_with_the_reason_and_the_oldest() -> None:
    fleet = Fleet()
    fleet.workload("a", "Pending", reason="NoHostFits")
    fleet.workload("b", reason="NoHostFits")
    fleet.workload("c", "Pending", reason="HostNotFound", class_name="virtual")
    fleet.now = CREATED + 60
    assert fleet.value("workloads_waiting", class_="metal", reason="NoHostFits") == 2
    assert fleet.value("oldest_waiting_seconds", class_="metal", reason="NoHostFits") == 60
    assert fleet.value("workloads_waiting", class_="virtual", reason="HostNotFound") == 1
    fleet.workload("a", "Bound", bound=True)
    fleet.remove("b")
    assert fleet.value("workloads_waiting", class_="metal", reason="NoHostFits") is None


def test_releases_are_measured_until_the_object_is_gone() -> None:
    fleet = Fleet()
    fleet.workload("a", "Running", bound=True)
    fleet.workload("a", "Deprovisioning", bound=True, deleted=CREATED + 100)
    fleet.now = CREATED + 400
    assert fleet.value("oldest_releasing_seconds", class_="metal") == 300
    fleet.workload("a", "Deprovisioning", deleted=CREATED + 100)
    fleet.remove("a")
    assert fleet.value("release_duration_seconds_sum", class_="metal") == 300
    assert fleet.value("oldest_releasing_seconds", class_="metal") == 0
    fleet.workload("b", "Pending")
    fleet.workload("b", "Pending", deleted=CREATED + 1)
    fleet.remove("b")
    assert fleet.value("release_duration_seconds_count", class_="metal") == 1, "b had no host"


def test_a_class_is_connected_or_not_or_gone() -> None:
    fleet = Fleet()
    fleet.metrics.class_changed(class_("metal"), class_("metal", "False"))
    assert (fleet.value("class_connected", class_="metal"), fleet.value("class_connected", class_="virtual")) == (0, 1)
    fleet.metrics.class_changed(class_("metal", "False"), None)
    assert fleet.value("class_connected", class_="metal") is None


def series(fleet: Fleet) -> int:
    return sum(len(family.samples) for family in fleet.metrics.collect())


def test_what_tenants_invent_makes_no_series() -> None:
    fleet = Fleet()
    fleet.workload("a", "Pending", class_name="x", reason="ClassNotFound")
    fleet.metrics.set_changed(None, set_(class_name="x"))
    few = series(fleet)
    for number in range(1000):
        fleet.workload(f"w{number}", "Pending", class_name=f"canary{number}", reason="ClassNotFound")
        fleet.metrics.set_changed(None, set_(class_name=f"canary{number}"))
    assert series(fleet) == few
    assert fleet.value("workloads", class_="", phase="Pending") == 1001
    for number in range(1000):
        fleet.workload(f"r{number}", "Pending", reason=f"Canary{number}")
    assert series(fleet) <= few + 2 * (REASONS + 1)


def test_reading_costs_nothing_per_host() -> None:
    def reading(hosts: int) -> Callable[[], object]:
        fleet = Fleet()
        for number in range(hosts):
            fleet.metrics.host_changed(None, host(available=True, report={"a": 1}))
            fleet.workload(f"w{number}", "Running", bound=True)
        return lambda: list(fleet.metrics.collect())

    assert_cheaper(reading(10_000), reading(10), 5)


@pytest.mark.parametrize(
    ("of", "state"),
    [
        (set_(Ready=""), "ready"),
        (set_(Ready="Scaling"), "progressing"),
        (set_(), "progressing"),
        (set_(Ready="Paused"), "paused"),
        (set_(Ready="CreationRefused: exceeded quota: hosts"), "quota"),
        (set_(Ready="CreationRefused: denied by the webhook w"), "refused"),
        (set_(Ready="CreationRefused", Stalled="CreationRefused"), "stalled"),
        (set_(Ready="NameTaken", Stalled="NameTaken"), "stalled"),
    ],
)
def test_each_set_has_one_state(of: Object, state: str) -> None:
    fleet = Fleet()
    fleet.metrics.set_changed(None, of)
    assert {name for name in SET_STATES if fleet.value("workloadsets", class_="metal", state=name) == 1} == {state}
    assert fleet.value("workloadsets", class_="virtual", state=state) == 0, "an alert needs a beginning"
    fleet.metrics.set_changed(of, {**of, "metadata": {**of["metadata"], "deletionTimestamp": stamp(CREATED)}})
    assert fleet.value("workloadsets", class_="metal", state=state) == 0


def test_members_that_sets_ask_for_are_available_or_not() -> None:
    fleet = Fleet()
    fleet.metrics.set_changed(None, first := set_(3, 1))
    fleet.metrics.set_changed(None, set_(2, 2))
    assert fleet.value("workloadset_members", class_="metal", state="available") == 3
    assert fleet.value("workloadset_members", class_="metal", state="unavailable") == 2
    fleet.metrics.set_changed(first, fewer := set_(1, 3))
    assert fleet.value("workloadset_members", class_="metal", state="unavailable") == 0, "those that are leaving are not asked for"
    fleet.metrics.set_changed(fewer, None)
    assert fleet.value("workloadset_members", class_="metal", state="available") == 2


def test_a_set_without_a_class_counts_for_the_default_one() -> None:
    fleet = Fleet()
    fleet.metrics.set_changed(None, set_(2, class_name=""))
    assert fleet.value("workloadset_members", class_="", state="unavailable") == 2
    fleet.default = class_("virtual")
    assert fleet.value("workloadset_members", class_="virtual", state="unavailable") == 2


def test_leases_run_end_and_are_counted_once() -> None:
    fleet, before = Fleet(), leased()
    fleet.metrics.workload_changed(None, before)
    assert fleet.value("leases", class_="metal", state="running") == 1
    assert fleet.value("leases_ended_total", class_="metal") == 0, "an increase needs a beginning"
    fleet.metrics.workload_changed(before, ending := leased(EXPIRING))
    assert fleet.value("leases", class_="metal", state="ending") == 1
    fleet.metrics.workload_changed(ending, ended := leased(EXPIRING, EXPIRED))
    assert fleet.value("leases", class_="metal", state="ended") == 1
    fleet.metrics.workload_changed(ended, going := leased(EXPIRING, EXPIRED, deleted=True))
    assert fleet.value("leases", class_="metal", state="ended") == 0, "its release is measured as one"
    fleet.metrics.workload_changed(going, None)
    assert fleet.value("leases_ended_total", class_="metal") == 1
    assert fleet.value("leases_ended_total", class_="virtual") == 0


def test_a_lease_whose_end_is_taken_back_is_counted_once() -> None:
    """After a restore, the server gives leases more time, and another process may lead."""
    fleet, before, ended = Fleet(), leased(EXPIRING), leased(EXPIRING, EXPIRED)
    fleet.metrics.workload_changed(None, before)
    for old, new in itertools.pairwise((before, ended, before, ended)):
        fleet.metrics.workload_changed(old, new)
    assert fleet.value("leases_ended_total", class_="metal") == 1
    other = Fleet()
    other.metrics.workload_changed(None, ended)
    for old, new in itertools.pairwise((ended, before, ended)):
        other.metrics.workload_changed(old, new)
    assert other.value("leases_ended_total", class_="metal") == 0, "the leader before has counted it"
