"""Decide what a Reservation reports: how many hosts it has, and why some are missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from apiserver.apis.host import unavailable_reason
from apiserver.apis.reservation import EXPIRED, has_ended, has_started, is_expired
from apiserver.client.clock import timestamp
from apiserver.client.objects import Object, name_of, namespace_of
from controllers.classaccess import admits, is_active
from controllers.runtime.conditions import condition, set_conditions
from controllers.scheduler.fit import too_complex
from controllers.workload.stalled import STALLED

Finding = tuple[str, str]
"""The reason and the message of a condition."""
FULFILLED, SHORT = "Fulfilled", "Short"
STALLING = ("ClassNotFound", "NamespaceNotAllowed", "TooComplex", EXPIRED)
"""The reasons that only a change resolves."""


def is_over(reservation: Object, now: datetime) -> bool:
    """Return whether the end has come, and the server has accepted that."""
    return is_expired(reservation) and has_ended(reservation["spec"], now)


def ended(reservation: Object) -> Finding:
    """Return what a Reservation reports that has ended."""
    return EXPIRED, f"it ended at {reservation['spec']['endTime']}: set spec.endTime to keep hosts again, or delete it"


def obstacle(reservation: Object, now: datetime, class_of: Callable[[str], Object | None], namespace: Object | None) -> Finding | None:
    """Return why no hosts are kept for the Reservation now, or None."""
    spec, name = reservation["spec"], namespace_of(reservation)
    if is_over(reservation, now):
        return ended(reservation)
    if not has_started(spec, now):
        return "NotStarted", f"hosts are set aside from {spec['startTime']} on, as far as they are free then"
    if (class_ := class_of(spec["className"])) is None:
        return "ClassNotFound", f'there is no WorkloadClass "{spec["className"]}": correct spec.className, or create the class'
    if namespace is None or not is_active(namespace) or not admits(class_, namespace):
        message = f'the WorkloadClass "{name_of(class_)}" does not allow the namespace "{name}": change the class, or spec.className'
        return "NamespaceNotAllowed", message
    if (reason := too_complex(reservation)) is not None:
        return "TooComplex", reason
    return None


def count(hosts: Iterable[Object]) -> tuple[int, int, int]:
    """Return how many of a Reservation's hosts are in use, free, and about to become free."""
    used = available = coming = 0
    for host in hosts:
        claim, mark = host["spec"].get("claimRef"), host["spec"]["reservedFor"]
        if claim and claim["namespace"] == mark["namespace"]:
            used += 1
        elif unavailable_reason(host) is None:
            available += 1
        else:
            coming += 1
    return used, available, coming


def status_of(reservation: Object, hosts: Iterable[Object], found: Finding | None) -> Object:
    """Return the status. `found` is why no hosts are kept, None if they are."""
    wanted, (used, available, coming) = reservation["spec"]["hosts"], count(hosts)
    missing = max(0, wanted - used - available) if found is None else 0
    ready, (reason, message) = found is None and not missing, found or _fulfilment(wanted, used, available, coming)
    generation = reservation["metadata"].get("generation")
    conditions = [condition("Ready", ready, reason, message, generation=generation)]
    if reason in STALLING:
        conditions.append(condition(STALLED, True, reason, message, generation=generation))
    expired = reason == EXPIRED
    conditions.append(condition(EXPIRED, expired, "Ended" if expired else "Lasts", _end(reservation, ended=expired), generation=generation))
    before = [item for item in (reservation.get("status") or {}).get("conditions") or () if item["type"] != STALLED or reason in STALLING]
    return {
        "observedGeneration": generation,
        "reserved": used + available,
        "used": used,
        "available": available,
        "missing": missing,
        "conditions": set_conditions(before, conditions, timestamp()),
    }


def _end(reservation: Object, *, ended: bool) -> str:
    return f"it {'ended' if ended else 'ends'} at {reservation['spec']['endTime']}"


def _fulfilment(wanted: int, used: int, available: int, coming: int) -> Finding:
    missing = wanted - used - available
    if missing <= 0:
        return FULFILLED, f"{used} of {wanted} hosts are in use, and {available} are free"
    soon = f"; {coming} are not free yet, and are kept" if coming else ""
    message = f"{missing} of {wanted} hosts are missing: they are set aside as hosts of this kind become free{soon}"
    return SHORT, message
