"""Decide when the lease of a Workload ends. The end is stored, so that no restart changes it.

The lease begins with the binding, by the server's clock. Its length is that of the Workload, or
else that of its class, and never more than the class's maximum. A Workload without either has no
lease. A machine that is adopted as it runs has a lease only if the Workload itself asks for one.

A lease that began before a gap in the service of the storage (see heartbeat) gets more time when
its end comes. The tenant could not extend it during the gap, or the extension was lost by a
restore.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from apiserver.apis.names import LEASE_EXPIRED as EXPIRED
from apiserver.apis.status import cause
from apiserver.client.clock import timestamp

GRACE = 86400
"""The shortest time in seconds that a tenant has after a gap to extend a lease."""

Object = dict[str, Any]


def new_lease(spec: Mapping[str, Any], rules: Mapping[str, Any], now: str, *, adopted: bool) -> Object | None:
    """Return status.lease of a Workload that gets a host now. `rules` is spec.lease of its class."""
    wanted = (spec.get("lease") or {}).get("durationSeconds")
    if wanted is None and not adopted:
        wanted = rules.get("defaultDurationSeconds", rules.get("maxDurationSeconds"))
    return _lease(now, wanted, rules) if wanted is not None else None


def changed(status: Mapping[str, Any], spec: Mapping[str, Any], rules: Mapping[str, Any], now: str) -> Object | None:
    """Return status.lease after spec.lease was changed.

    If the class has rules for leases, removing spec.lease does not change the lease."""
    before = status.get("lease") or {}
    wanted = (spec.get("lease") or {}).get("durationSeconds")
    if wanted is None:
        return dict(before) if before and rules else None
    return _lease(before.get("startTime") or now, wanted, rules)


def problems(old: Mapping[str, Any] | None, new: Mapping[str, Any], rules: Mapping[str, Any], now: str) -> list[dict[str, str]]:
    """Return causes for a changed length that the class does not allow, or that is over already."""
    wanted = (new["spec"].get("lease") or {}).get("durationSeconds")
    fields = ("lease", "className")
    if wanted is None or (old is not None and all(old["spec"].get(field) == new["spec"].get(field) for field in fields)):
        return []
    path, most = "spec.lease.durationSeconds", rules.get("maxDurationSeconds")
    if most is not None and wanted > most:
        return [cause("FieldValueInvalid", f"Invalid value: {wanted}: the class allows at most {most} seconds", path)]
    start = ((old or {}).get("status") or {}).get("lease", {}).get("startTime")
    if start is not None and _after(start, wanted) <= now:
        message = f"Invalid value: {wanted}: the lease began at {start} and would be over already: choose a longer one"
        return [cause("FieldValueInvalid", message, path)]
    return []


def shortened(old: Mapping[str, Any], spec: object) -> str | None:
    """Return a warning for a tenant that makes the lease of a Workload end earlier, or None.

    `spec` is as it was sent, before it is validated."""
    before = (old.get("status") or {}).get("lease")
    sent = spec.get("lease") if isinstance(spec, dict) else None
    wanted = sent.get("durationSeconds") if isinstance(sent, dict) else None
    if not before or sent == old["spec"].get("lease") or type(wanted) is not int or not 0 < wanted < _seconds(before):
        return None
    end = _after(before["startTime"], wanted)
    return f"spec.lease: the lease ends at {end} instead of {before['expirationTimestamp']}: the Workload is deleted then"


def early(old: Mapping[str, Any], new: Mapping[str, Any], now: str) -> list[dict[str, str]]:
    """Return causes for a status that says that the lease has expired before it has.

    The controllers delete a Workload only after this server, by its own clock, has accepted that."""
    said = [_expired(obj.get("status") or {}) for obj in (old, new)]
    expiration = ((old.get("status") or {}).get("lease") or {}).get("expirationTimestamp")
    if said[0] or not said[1] or (expiration is not None and expiration <= now):
        return []
    message = f"Invalid value: the lease ends at {expiration or 'no time'}, and it is {now}: compare the clocks of all servers"
    return [cause("FieldValueInvalid", message, "status.conditions")]


def expires(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Return whether the write sets the condition EXPIRED, which the stored status does not have."""
    return _expired(new.get("status") or {}) and not _expired(old.get("status") or {})


def with_grace(workload: Mapping[str, Any], since: str, rules: Mapping[str, Any], now: str) -> Object | None:
    """Return the status of a Workload whose lease gets more time instead of its end, or None.

    `since` is the time since which the storage has been served without a gap. The lease then lasts
    for the class's warning time, for at least GRACE seconds, and never for more than the class's
    maximum, because no lost extension was longer."""
    status = workload.get("status") or {}
    lease, wait = status.get("lease"), max(GRACE, rules.get("warningSeconds", GRACE))
    if not lease or lease["startTime"] >= since:
        return None
    end = _after(since, min(wait, rules.get("maxDurationSeconds", wait)))
    if end <= now:
        return None
    conditions = [item for item in status.get("conditions") or () if item.get("type") != EXPIRED]
    return {**status, "conditions": conditions, "lease": {**lease, "expirationTimestamp": end, "graceSince": since}}


def _expired(status: Mapping[str, Any]) -> bool:
    return any((item.get("type"), item.get("status")) == (EXPIRED, "True") for item in status.get("conditions") or ())


def _lease(start: str, seconds: int, rules: Mapping[str, Any]) -> Object:
    return {"startTime": start, "expirationTimestamp": _after(start, min(seconds, rules.get("maxDurationSeconds", seconds)))}


def _seconds(lease: Mapping[str, Any]) -> float:
    """Return the length of a stored lease."""
    start, end = (datetime.fromisoformat(lease[field]) for field in ("startTime", "expirationTimestamp"))
    return (end - start).total_seconds()


def _after(start: str, seconds: int) -> str:
    return timestamp(datetime.fromisoformat(start) + timedelta(seconds=seconds))
