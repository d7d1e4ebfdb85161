"""Run all controllers with Reservations between two clusters in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from controllers.reservation.controller import RESYNC, seconds_until_change
from controllers.reservation.metrics import ReservationMetrics
from controllers.runtime.conditions import find_condition
from tests.unit.controllers.claiming import RESERVATIONS
from tests.unit.controllers.clusters import (
    BMH,
    CLASSES,
    HOSTS,
    NAMESPACES,
    WORKLOADS,
    TwoClusters,
    bmh,
    controllers,
    workload,
    workload_class,
)
from tests.unit.controllers.fakeapi import Failure, eventually
from tests.unit.controllers.reservation.reservations import reservation

Object = dict[str, Any]

PAST = {"spec": {"endTime": "2020-01-01T00:00:00Z"}}


def kept(clusters: TwoClusters) -> dict[str, str]:
    """Return the Reservation of each real host that has one."""
    specs = (host["spec"] for host in clusters.management.all(HOSTS))
    return {spec["source"]["name"]: spec["reservedFor"]["name"] for spec in specs if "reservedFor" in spec}


def reserve(clusters: TwoClusters, name: str = "launch", namespace: str = "team-a", **spec: Any) -> None:
    made = reservation(name, namespace, **spec)
    made["metadata"] = {"name": name, "namespace": namespace}
    clusters.management.put(RESERVATIONS, made)


def ready(clusters: TwoClusters, name: str = "launch", namespace: str = "team-a") -> str:
    status = clusters.management.get(RESERVATIONS, name, namespace).get("status") or {}
    return str((find_condition(status.get("conditions"), "Ready") or {}).get("reason"))


def counts(clusters: TwoClusters) -> tuple[int, int, int]:
    status: Mapping[str, int] = clusters.management.get(RESERVATIONS, "launch", "team-a").get("status") or {}
    return status.get("used", 0), status.get("available", 0), status.get("missing", 0)


def offered(clusters: TwoClusters) -> dict[str, list[str]]:
    return {host["spec"]["source"]["name"]: host["spec"].get("offers") or [] for host in clusters.management.all(HOSTS)}


async def test_hosts_are_kept_for_the_namespace_and_had_by_it_alone(clusters: TwoClusters) -> None:
    reserve(clusters)
    async with controllers(clusters):
        await eventually(lambda: ready(clusters) == "Fulfilled" and offered(clusters) == {"h1": ["team-a"]})
        clusters.management.put(WORKLOADS, workload("rival", namespace="team-b"))
        await eventually(lambda: clusters.condition("rival", "Bound", "team-b")["reason"] == "NoHostFits")
        message = clusters.condition("rival", "Bound", "team-b")["message"]
        assert "reserv" not in message
        assert "team-a" not in message
        assert "1" not in message, "the number of hosts that are kept for others is not this tenant's to know"
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running" and counts(clusters) == (1, 0, 0))
        clusters.request_deletion("web")
        await eventually(lambda: counts(clusters) == (0, 1, 0))
        assert clusters.condition("rival", "Bound", "team-b")["reason"] == "NoHostFits", "a released host stays reserved"
        clusters.management.remove(RESERVATIONS, "launch", "team-a")
        await eventually(lambda: clusters.phase("rival", "team-b") == "Running")
        assert kept(clusters) == {}


async def test_workloads_prefer_hosts_that_are_kept_for_them(clusters: TwoClusters) -> None:
    clusters.hardware.put(BMH, bmh("small", cpus=1, ram_gib=1))
    reserve(clusters, requirements={"cpuCount": 16})
    async with controllers(clusters):
        await eventually(lambda: kept(clusters) == {"h1": "launch"} and len(offered(clusters)) == 2)
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        assert clusters.claimed("web") == "h1", "although a smaller one would do"


async def test_a_short_one_is_filled_as_hosts_become_free_and_others_lose_nothing(clusters: TwoClusters) -> None:
    clusters.management.put(WORKLOADS, workload("web", namespace="team-b"))
    async with controllers(clusters):
        await eventually(lambda: clusters.phase("web", "team-b") == "Running")
        clusters.management.put(WORKLOADS, workload("next", namespace="team-b"))
        await eventually(lambda: clusters.condition("next", "Bound", "team-b")["reason"] == "NoHostFits")
        reserve(clusters)
        await eventually(lambda: ready(clusters) == "Short" and counts(clusters) == (0, 0, 1))
        assert clusters.phase("web", "team-b") == "Running"
        clusters.bmo.hold = True
        clusters.request_deletion("web", "team-b")
        await eventually(lambda: kept(clusters) == {"h1": "launch"})
        assert counts(clusters) == (0, 0, 1), "it is not there yet"
        clusters.bmo.hold = False
        clusters.hardware.edit(BMH, "h1", {"metadata": {"labels": {"seen": "again"}}}, "metal3")
        await eventually(lambda: ready(clusters) == "Fulfilled")
        assert clusters.condition("next", "Bound", "team-b")["reason"] == "NoHostFits", "it waited, and was not faster"
        await eventually(lambda: {"Short", "Fulfilled"} <= set(clusters.reasons()))


async def test_a_short_one_chooses_first_among_new_hosts(clusters: TwoClusters) -> None:
    clusters.management.put(WORKLOADS, workload("web", namespace="team-b"))
    async with controllers(clusters):
        await eventually(lambda: clusters.phase("web", "team-b") == "Running")
        reserve(clusters)
        await eventually(lambda: ready(clusters) == "Short")
        clusters.management.put(WORKLOADS, workload("next", namespace="team-b"))
        await eventually(lambda: clusters.condition("next", "Bound", "team-b")["reason"] == "NoHostFits")
        clusters.hardware.put(BMH, bmh("h2"))
        await eventually(lambda: kept(clusters) == {"h2": "launch"})
        clusters.hardware.put(BMH, bmh("h3"))
        await eventually(lambda: clusters.phase("next", "team-b") == "Running")
        assert kept(clusters) == {"h2": "launch"}


async def test_an_unhealthy_host_is_replaced(clusters: TwoClusters) -> None:
    reserve(clusters)
    async with controllers(clusters):
        await eventually(lambda: kept(clusters) == {"h1": "launch"})
        clusters.hardware.put(BMH, bmh("h2"))
        await eventually(lambda: len(offered(clusters)) == 2)
        clusters.hardware.edit(BMH, "h1", {"metadata": {"annotations": {"capm3.metal3.io/unhealthy": ""}}}, "metal3")
        await eventually(lambda: kept(clusters) == {"h2": "launch"} and ready(clusters) == "Fulfilled")


async def test_hosts_return_when_the_server_has_said_that_the_end_has_come(clusters: TwoClusters) -> None:
    refused = Failure(422, "Invalid", "compare the clocks of all servers")
    reserve(clusters)
    async with controllers(clusters):
        await eventually(lambda: ready(clusters) == "Fulfilled")
        clusters.management.fail = lambda verb, path: refused if verb == "PATCH" and path.endswith("/launch/status") else None
        clusters.management.edit(RESERVATIONS, "launch", PAST, "team-a")
        tried = clusters.management.requests["PATCH reservations/status"]
        await eventually(lambda: clusters.management.requests["PATCH reservations/status"] > tried + 2)
        assert kept(clusters) == {"h1": "launch"}
        clusters.management.fail = lambda verb, path: None
        await eventually(lambda: ready(clusters) == "Expired" and kept(clusters) == {})
        await eventually(lambda: offered(clusters) == {"h1": ["team-a", "team-b"]})
        await eventually(lambda: "Expired" in clusters.reasons())
        far = {"spec": {"endTime": "2999-01-01T00:00:00Z"}}
        clusters.management.edit(RESERVATIONS, "launch", far, "team-a")
        await eventually(lambda: kept(clusters) == {"h1": "launch"} and ready(clusters) == "Fulfilled")


async def test_a_host_that_a_tenant_has_filled_up_stops_no_other_reservation(clusters: TwoClusters) -> None:
    """The server refuses a mark if Host, Workload and view would be too large together."""
    large = Failure(413, "RequestEntityTooLarge", "Request entity too large: the Workload, its host and the host's view")
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        path = f"/hosts/{clusters.management.all(HOSTS)[0]['metadata']['name']}"
        clusters.management.fail = lambda verb, of: large if verb == "PATCH" and of.endswith(path) else None
        reserve(clusters)
        reserve(clusters, "other", "team-b")
        await eventually(lambda: ready(clusters, "other", "team-b") == "Short")
        clusters.hardware.put(BMH, bmh("h2"))
        await eventually(lambda: kept(clusters) == {"h2": "other"} and ready(clusters, "other", "team-b") == "Fulfilled")


async def test_a_workload_keeps_its_machine_after_the_end(clusters: TwoClusters) -> None:
    reserve(clusters)
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running" and counts(clusters) == (1, 0, 0))
        clusters.management.edit(RESERVATIONS, "launch", PAST, "team-a")
        await eventually(lambda: ready(clusters) == "Expired" and kept(clusters) == {})
        assert clusters.phase("web") == "Running"


async def test_a_reservation_begins_at_its_start_time(clusters: TwoClusters) -> None:
    async with controllers(clusters):
        await eventually(lambda: len(offered(clusters)) == 1)
        reserve(clusters, startTime="2998-01-01T00:00:00Z")
        await eventually(lambda: ready(clusters) == "NotStarted")
        assert kept(clusters) == {}
        clusters.management.edit(RESERVATIONS, "launch", {"spec": {"startTime": "2020-01-01T00:00:00Z"}}, "team-a")
        await eventually(lambda: kept(clusters) == {"h1": "launch"})


async def test_marks_of_reservations_that_were_deleted_without_a_controller_are_removed(clusters: TwoClusters) -> None:
    reserve(clusters)
    async with controllers(clusters):
        await eventually(lambda: kept(clusters) == {"h1": "launch"})
    clusters.management.remove(RESERVATIONS, "launch", "team-a")
    async with controllers(clusters):
        await eventually(lambda: kept(clusters) == {})


async def test_hosts_return_with_the_namespace_and_with_the_classs_consent(clusters: TwoClusters) -> None:
    reserve(clusters)
    async with controllers(clusters):
        await eventually(lambda: kept(clusters) == {"h1": "launch"})
        clusters.management.put(CLASSES, workload_class(allowedNamespaces={"names": ["team-b"]}))
        await eventually(lambda: kept(clusters) == {} and ready(clusters) == "NamespaceNotAllowed")
        clusters.management.put(CLASSES, workload_class())
        await eventually(lambda: kept(clusters) == {"h1": "launch"})
        clusters.management.edit(NAMESPACES, "team-a", {"status": {"phase": "Terminating"}})
        await eventually(lambda: kept(clusters) == {})


async def test_two_namespaces_share_no_host(clusters: TwoClusters) -> None:
    for name in ("h2", "h3"):
        clusters.hardware.put(BMH, bmh(name))
    async with controllers(clusters):
        await eventually(lambda: len(offered(clusters)) == 3)
        reserve(clusters, hosts=2)
        await eventually(lambda: ready(clusters) == "Fulfilled")
        reserve(clusters, "second", "team-b", hosts=2)
        await eventually(lambda: ready(clusters, "second", "team-b") == "Short")
        assert sorted(kept(clusters).values()) == ["launch", "launch", "second"]
        clusters.management.edit(RESERVATIONS, "launch", {"spec": {"hosts": 1}}, "team-a")
        await eventually(lambda: ready(clusters, "second", "team-b") == "Fulfilled")
        assert sorted(kept(clusters).values()) == ["launch", "second", "second"]


def test_metrics_say_what_is_used_available_and_missing() -> None:
    registry = CollectorRegistry()
    one = reservation() | {"status": {"used": 1, "available": 2, "missing": 3}}
    registry.register(ReservationMetrics([one, reservation("new")]))
    text = generate_latest(registry).decode()
    labels = 'class="metal",namespace="a",reservation="launch"'
    for state, number in (("used", 1), ("available", 2), ("missing", 3)):
        assert f'metal3_workloads_reservation_hosts{{{labels},state="{state}"}} {number}.0' in text
    assert 'reservation="new",state="missing"} 0.0' in text


def test_metrics_say_which_reservations_wait_in_vain() -> None:
    """A Reservation that has ended is stalled, too, but nobody has to act."""
    stalled, over = {"type": "Stalled", "status": "True"}, {"type": "Expired", "status": "True"}
    states = {"fine": [], "stalled": [stalled], "over": [stalled, over]}
    registry = CollectorRegistry()
    registry.register(ReservationMetrics([reservation(name) | {"status": {"conditions": found}} for name, found in states.items()]))

    def value(name: str) -> float | None:
        labels = {"namespace": "a", "reservation": name, "class": "metal"}
        return registry.get_sample_value("metal3_workloads_reservation_stalled", labels)

    assert {name: value(name) for name in states} == {"fine": 0, "stalled": 1, "over": 0}


def test_the_next_look_is_at_the_next_start_or_end() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def wait(**spec: Any) -> float:
        return seconds_until_change([reservation(), reservation(**spec)], now)

    assert wait() == RESYNC
    assert 60 <= wait(startTime="2026-01-01T00:01:00Z") < 61
    assert 30 <= wait(startTime="2026-01-01T00:01:00Z", endTime="2026-01-01T00:00:30Z") < 31
    assert wait(startTime="2025-01-01T00:00:00Z", endTime="2025-01-02T00:00:00Z") == RESYNC
