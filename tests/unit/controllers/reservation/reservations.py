"""Make Reservations and Hosts in every state."""

from __future__ import annotations

from typing import Any

from controllers.reservation.plan import Active
from tests.unit.controllers.clusters import host

Object = dict[str, Any]

CREATED = "2026-01-01T00:00:00Z"
END = "2999-01-01T00:00:00Z"


def reservation(name: str = "launch", namespace: str = "a", hosts: int = 1, *, created: str = CREATED, **spec: Any) -> Object:
    """Return a Reservation as it is stored, which has begun and does not end soon."""
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Reservation",
        "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "generation": 1, "creationTimestamp": created},
        "spec": {"className": "metal", "hosts": hosts, "endTime": END, **spec},
    }


def active(*args: Any, **spec: Any) -> Active:
    made = reservation(*args, **spec)
    return Active(made, f"uid-{made['metadata']['namespace']}")


def machine(
    name: str, *, holder: str = "", mark: Active | None = None, cpus: int = 16, labels: Object | None = None, **more: Any
) -> Object:
    """Return a Host that a Workload of the namespace `holder` has, or none."""
    made = host(name, **more)
    if holder:
        made["spec"]["claimRef"] = {"namespace": holder, "name": "w", "uid": f"w-{name}", "namespaceUID": f"uid-{holder}"}
    if mark is not None:
        made["spec"]["reservedFor"] = mark.mark
    hardware = made["status"]["report"]["status"]["hardware"]
    made["status"]["report"]["status"] = {**made["status"]["report"]["status"], "hardware": {**hardware, "cpu": {"count": cpus}}}
    made["status"]["report"]["labels"] = labels or {}
    return made
