"""Store Reservations, and decide whether a Host may be set aside for one.

The controllers set hosts aside and give them back. The server refuses writes that do so before the
time has come by the server's own clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apiserver.apis.reservation import Reservation, has_ended, has_started, is_expired, moment
from apiserver.apis.status import cause, forbidden
from apiserver.apis.workload import GROUP, VERSION
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.metadata import now
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import AGE, READ_WRITE, Column, Resource
from apiserver.registry.generic.strategy import Admission, Strategy
from storage.cache import WatchCache

RESERVATIONS = Resource(
    group=GROUP,
    version=VERSION,
    kind="Reservation",
    plural="reservations",
    short_names=("mrsv",),
    categories=("metal3-workloads",),
    model=Reservation,
    columns=(
        Column("Class", "spec.className", description="Where the hosts come from"),
        Column("Hosts", "spec.hosts", type="integer", description="The number of hosts that are asked for"),
        Column("Used", "status.used", type="integer", description="Those that Workloads of the namespace have"),
        Column("Available", "status.available", type="integer", description="Those that are free, and set aside"),
        Column("Missing", "status.missing", type="integer", description="Those that are still missing"),
        Column("Ready", "status.conditions.(Ready).reason", description="Whether all hosts are there, in a word"),
        Column("End", "spec.endTime", description="When free hosts become available to all namespaces again"),
        AGE,
        Column("Start", "spec.startTime", priority=1, description="When hosts begin to be set aside"),
        Column("Message", "status.conditions.(Ready).message", priority=1, description="What is missing"),
    ),
    fields={"spec.className": "spec.className"},
    subresources={"status": READ_WRITE},
)

MOST = 256
"""The largest number of Reservations in all namespaces. The number is small, because the
controllers plan them together."""
SIZE = 64 * 1024
"""The largest size in bytes of a Reservation."""


class ReservationStrategy(Strategy):
    """The rules of Reservations: the times are valid and in order, and a Reservation expires only
    after its end."""

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        """Check changed times, and refuse a status that says too early that the Reservation has
        expired."""
        fields = ("startTime", "endTime")
        causes = []
        if old is None or any(old["spec"].get(field) != new["spec"].get(field) for field in fields):
            causes = time_causes(new["spec"], datetime.now(UTC))
        if old is not None and is_expired(new) and not is_expired(old) and not has_ended(new["spec"], datetime.now(UTC)):
            message = (
                f"Invalid value: the Reservation ends at {new['spec']['endTime']}, and it is {now()}: compare the clocks of all servers"
            )
            causes.append(cause("FieldValueInvalid", message, "status.conditions"))
        return causes


def time_causes(spec: dict[str, Any], at: datetime) -> list[dict[str, str]]:
    """Return causes for times that do not exist, are in the wrong order, or have their end before
    `at`."""
    given = {field: spec[field] for field in ("startTime", "endTime") if field in spec}
    causes, moments = [], {}
    for field, text in given.items():
        try:
            moments[field] = moment(text)
        except (ValueError, OverflowError):
            message = f'Invalid value: "{text}": there is no such time: write it as 2027-01-31T18:00:00Z'
            causes.append(cause("FieldValueInvalid", message, f"spec.{field}"))
    end = moments.get("endTime")
    if end is None:
        return causes
    if end <= at:
        message = f'Invalid value: "{spec["endTime"]}": it is over already: choose a later time; to end a Reservation now, delete it'
        causes.append(cause("FieldValueInvalid", message, "spec.endTime"))
    if "startTime" in moments and moments["startTime"] >= end:
        message = f'Invalid value: "{spec["endTime"]}": must be later than spec.startTime ({spec["startTime"]})'
        causes.append(cause("FieldValueInvalid", message, "spec.endTime"))
    return causes


def reservation_causes(
    reservations: Registry, old: dict[str, Any] | None, new: dict[str, Any], workload: dict[str, Any] | None
) -> list[dict[str, str]]:
    """Return causes for setting the Host aside for a Reservation that may not have it.

    `workload` is the Workload that has the Host."""
    wanted = new["spec"].get("reservedFor")
    if wanted is None or (old is not None and wanted == old["spec"].get("reservedFor")):
        return []
    entry = reservations.find(wanted["namespace"], wanted["name"])
    why = _refusal(entry.object() if entry is not None else None, wanted, new["spec"], workload)
    return [cause("FieldValueForbidden", f"Forbidden: {why}", "spec.reservedFor")] if why is not None else []


def _refusal(
    reservation: dict[str, Any] | None, wanted: dict[str, Any], host: dict[str, Any], workload: dict[str, Any] | None
) -> str | None:
    """Return why the Host with this spec may not be set aside as wanted, or None.

    A Host that another namespace has may be set aside once its Workload is being deleted."""
    named, at = f"the Reservation {wanted['namespace']}/{wanted['name']}", datetime.now(UTC)
    if reservation is None or reservation["metadata"]["uid"] != wanted["uid"] or "deletionTimestamp" in reservation["metadata"]:
        return f"{named} does not exist (any more): create it, and the controllers choose its hosts"
    spec, claim = reservation["spec"], host.get("claimRef")
    if not has_started(spec, at) or has_ended(spec, at):
        return f"{named} keeps hosts until {spec['endTime']}, from {spec.get('startTime', 'its creation')} on, and it is {now()}"
    if spec["className"] != host["className"]:
        return f"{named} is for hosts of the class {spec['className']}"
    leaving = workload is None or "deletionTimestamp" in workload["metadata"]
    if claim and not leaving and not _is_own(claim, wanted):
        return "a Workload of another namespace has the host"
    return None


def _is_own(claim: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Return whether the claim belongs to the Reservation's namespace."""
    return claim["namespace"] == wanted["namespace"] and claim.get("namespaceUID") in (None, wanted["namespaceUID"])


class ReservationRegistry(Registry):
    """The generic registry, with a limit for the number of Reservations."""

    size = SIZE

    def __init__(self, cache: WatchCache, admission: Admission | None = None) -> None:
        super().__init__(RESERVATIONS, cache, strategy=ReservationStrategy(), admission=admission)

    async def admit_new(self, context: Context, namespace: str, obj: dict[str, Any], *, applied: bool = False) -> dict[str, Any]:
        """Refuse a Reservation if there are MOST of them already."""
        if len(self.collection) >= MOST:
            raise forbidden(GROUP, RESERVATIONS.plural, "", f"there are {MOST} Reservations: delete expired ones first")
        return await super().admit_new(context, namespace, obj, applied=applied)
