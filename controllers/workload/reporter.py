"""Write the status of Workloads, with events about changes."""

from __future__ import annotations

from apiserver.apis.hostconditions import HEALTHY
from apiserver.client.clock import timestamp
from apiserver.client.objects import Object, typed
from controllers import kinds
from controllers.cluster import Cluster
from controllers.providers.base import Applied, Outcome
from controllers.runtime.conditions import find_condition
from controllers.workload.status import PROVISIONING_FAILED, RETRY_LIMIT, bound_status, phase_of, seems_lost, unasked_status


async def report(cluster: Cluster, workload: Object, host: Object, applied: Applied) -> None:
    """Write the status of a Workload that has a host, after its source has answered.

    The binding becomes Confirmed, unless the source refused it and nothing was written there."""
    await report_status(cluster, workload, _status(workload, host, applied, confirmed=not applied.rejected_cleanly))


async def report_unavailable(cluster: Cluster, workload: Object, host: Object, why: Outcome) -> None:
    """Write the status of a Workload whose source did not answer.

    The last known state of the host stays, and so does the state of the binding."""
    known = find_condition((workload.get("status") or {}).get("conditions"), "Bound")
    bound = Outcome(True, "Bound", "the host is this Workload's")
    if known is not None:
        bound = Outcome(known["status"] == "True", known["reason"], known["message"])
    await report_status(cluster, workload, _status(workload, host, Applied(bound, why), confirmed=False))


def _status(workload: Object, host: Object, applied: Applied, *, confirmed: bool) -> Object:
    reported = ((host.get("status") or {}).get("report") or {}).get("status")
    if applied.observed is None and applied.bound.status is True and seems_lost(workload, reported):
        return unasked_status(workload, applied.synchronized, timestamp())
    observed, now = applied.observed or reported, timestamp()
    return bound_status(
        workload,
        applied.bound,
        applied.synchronized,
        observed,
        empty=applied.empty,
        stalled=applied.stalled,
        now=now,
        confirmed=confirmed,
    )


async def report_status(cluster: Cluster, workload: Object, status: Object) -> Object:
    """Write this status if it differs, with events. Return the resulting Workload."""
    written = await cluster.patch_status(kinds.WORKLOADS, workload, status)
    _send_events(cluster, workload, status)
    return written


def _send_events(cluster: Cluster, workload: Object, status: Object) -> None:
    """Send events about a new phase, and about a new reason in Bound or Synchronized."""
    before = (workload.get("status") or {}).get("conditions")
    conditions = status.get("conditions")
    for type_ in ("Bound", "Synchronized"):
        new, old = find_condition(conditions, type_), find_condition(before, type_)
        if new is not None and new["status"] == "False" and (old is None or old["reason"] != new["reason"]):
            cluster.events.event(typed(kinds.WORKLOADS, workload), "Warning", new["reason"], new["message"])
    _tell_health(cluster, workload, find_condition(before, HEALTHY), find_condition(conditions, HEALTHY))
    phase = status.get("phase")
    if phase is not None and phase != phase_of(workload):
        ready = find_condition(conditions, "Ready") or {"reason": "", "message": ""}
        bad = phase in {"Failed", "Lost"} or ready["reason"] in (PROVISIONING_FAILED, RETRY_LIMIT)
        cluster.events.event(typed(kinds.WORKLOADS, workload), "Warning" if bad else "Normal", phase, ready["message"] or phase)


def _tell_health(cluster: Cluster, workload: Object, old: Object | None, new: Object | None) -> None:
    """Send an event when the host's health becomes bad, becomes worse, or is good again."""
    before, after = ((item["status"], item["reason"]) if item is not None else ("", "") for item in (old, new))
    if new is None or before == after:
        return
    if new["status"] == "False":
        cluster.events.event(typed(kinds.WORKLOADS, workload), "Warning", "HostNotHealthy", new["message"])
    elif before[0] == "False" and new["status"] == "True":
        cluster.events.event(typed(kinds.WORKLOADS, workload), "Normal", "HostHealthy", new["message"])
