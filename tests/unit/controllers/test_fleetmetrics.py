"""Check the metrics of the fleet against histories of objects."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry

from controllers.fleetmetrics import REASONS, FleetMetrics, state_of
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
        self.metrics = FleetMetrics(lambda name: name in self.classes, lambda: self.now)
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


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.parametrize(
    ("of", "state"),
    [
        (host(available=True, report={"a": 1}), "free"),
        (host(available=True, report={"a": 1}, dirtyFor="a"), "dirty"),
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
    few = series(fleet)
    for number in range(1000):
        fleet.workload(f"w{number}", "Pending", class_name=f"canary{number}", reason="ClassNotFound")
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
