"""Define workload.metal3.io/v1alpha1 Reservation: hosts that are kept for a namespace until a time.

The owner of the hardware creates a Reservation, like a ResourceQuota, in the namespace that it is
for. Tenants can only read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from apiserver.apis.base import DNSSubdomain, Model, Timestamp
from apiserver.apis.meta import Conditions, LabelSelector, ObjectMeta
from apiserver.apis.workload import Requirements

MOST_HOSTS = 1000
"""The largest number of hosts of a Reservation."""
EXPIRED = "Expired"
"""The condition of a Reservation that no longer keeps hosts for its namespace."""


class ReservationSpec(Model):
    """The number and the kind of the hosts that are kept for the namespace, and the time of the
    end."""

    class_name: DNSSubdomain = Field(description="The WorkloadClass that the hosts come from. It has to allow the namespace.")
    hosts: int = Field(
        ge=1,
        le=MOST_HOSTS,
        description="The number of hosts. Those of this kind that Workloads of the namespace have count; free hosts are set aside for the "
        "rest.",
    )
    host_selector: LabelSelector | None = Field(default=None, description="Labels that the hosts must have.")
    requirements: Requirements | None = Field(default=None, description="Hardware that the hosts must have.")
    start_time: Timestamp | None = Field(default=None, description="When hosts begin to be set aside; at once when empty.")
    end_time: Timestamp = Field(
        description="When free hosts become available to all namespaces. Workloads keep their machines: only their own lease ends them.",
    )


class ReservationStatus(Model):
    """The observed state. Conditions: Ready, Expired."""

    observed_generation: int | None = Field(default=None, description="The metadata.generation that this status is about.")
    reserved: int | None = Field(default=None, description="The number of hosts that count now: used and available together.")
    used: int | None = Field(default=None, description="The number of these hosts that Workloads of the namespace have.")
    available: int | None = Field(default=None, description="The number of these hosts that are free, and set aside for the namespace.")
    missing: int | None = Field(
        default=None, description="The number of hosts that are still missing. Hosts that become free are set aside."
    )
    conditions: Conditions | None = Field(
        default=None, description="Ready while all hosts are there; Expired after the end; Stalled where only a change helps."
    )


class Reservation(Model):
    """A number of hosts of a kind that only one namespace may have, until a time."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: ReservationSpec
    status: ReservationStatus | None = None


def moment(text: str) -> datetime:
    """Return the time of a Timestamp. Raises ValueError if there is no such time."""
    return datetime.fromisoformat(text).astimezone(UTC)


def has_started(spec: Mapping[str, Any], now: datetime) -> bool:
    """Return whether the start has come, or none is given."""
    return "startTime" not in spec or moment(spec["startTime"]) <= now


def has_ended(spec: Mapping[str, Any], now: datetime) -> bool:
    """Return whether the end has come."""
    return moment(spec["endTime"]) <= now


def is_expired(reservation: Mapping[str, Any]) -> bool:
    """Return whether the status says that the Reservation has ended."""
    conditions = (reservation.get("status") or {}).get("conditions") or ()
    return any((item["type"], item["status"]) == (EXPIRED, "True") for item in conditions)
