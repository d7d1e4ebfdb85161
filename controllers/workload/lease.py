"""End the leases of Workloads: warn first, then delete the Workload, which releases its host.

The end is a time that the server has stored, so that no restart moves it. A Workload is deleted
only if three clocks agree that its lease is over: this process's wall clock, its monotonic clock,
and the server's clock. A clock that jumps ahead therefore ends no lease early. The server also
knows whether it was away, or was restored from a backup, and gives the lease more time then. The
deletion names the resourceVersion that has expired, so that an extension which comes first keeps
the machine.
"""

from __future__ import annotations

import logging
import time

from apiserver.apis.names import LEASE_EXPIRED as EXPIRED
from apiserver.apis.workload import host_of
from apiserver.client.clock import Clock, LoopClock, seconds_of, timestamp
from apiserver.client.errors import ApiException, ignore_not_found
from apiserver.client.objects import Object, key_of, name_of, namespace_of, typed, uid_of
from controllers import kinds
from controllers.cluster import Cluster
from controllers.leaseended import end_leases
from controllers.runtime.conditions import condition, find_condition, set_conditions
from controllers.runtime.controller import Result

log = logging.getLogger(__name__)

EXPIRING = "LeaseExpiring"
WARNING = 86400
"""The default of spec.lease.warningSeconds of a class: how long before the end its tenants are
warned."""
DRIFT, BELIEVED = 1.0, 3600.0
"""The seconds by which the wall clock may run ahead of the monotonic one, and the seconds after
which a larger lead is believed."""
AGAIN = 60.0
"""The seconds until a deletion that was refused is tried again."""
ASKED = 1.0
"""The seconds until the controllers ask the server again whether a lease is over. They do so after
the server has given the lease more time, or has answered another process."""


class SteadyClock:
    """Reads the wall clock, but ignores a jump ahead until it has lasted for BELIEVED seconds."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or LoopClock()
        self._base: tuple[float, float] | None = None
        self._ahead: float | None = None

    def now(self) -> float:
        """Return the seconds since 1970."""
        wall, steady = time.time(), self._clock.time()
        base = self._base or (wall, steady)
        expected = base[0] + steady - base[1]
        if wall <= expected + DRIFT:
            self._ahead = None
        else:
            self._ahead = steady if self._ahead is None else self._ahead
            if steady - self._ahead < BELIEVED:
                return expected
        self._base = max(wall, expected), steady
        return wall


class Leases:
    """Warns of the ends of leases, and deletes Workloads whose lease is over."""

    def __init__(self, clock: SteadyClock | None = None) -> None:
        self._clock = clock or SteadyClock()
        self._declared: dict[str, str] = {}
        """The uids, by key, of Workloads of which this process has said that their lease has
        expired."""

    async def reconcile(self, cluster: Cluster, workload: Object) -> Result | None:
        """Warn about the end of a Workload's lease, or end it. Return when to reconcile again."""
        now = self._clock.now()
        class_ = cluster.classes.store.get(host_of(workload).get("class", ""))
        key, uid = key_of(workload), uid_of(workload)
        if not _is_declared(workload):
            self.forget(key)
        conditions, wait = lease_conditions(workload, warning_of(class_), now, ours=self._declared.get(key) == uid)
        if conditions is None and wait == 0:
            await _end(cluster, workload)  # the deletion was refused before
        elif conditions is not None:
            try:
                written = await cluster.patch_status(kinds.WORKLOADS, workload, {"conditions": conditions})
            except ApiException as error:
                if not error.invalid:
                    raise
                log.warning("workload %s: its lease is not over by the server's clock: %s", key, error)
                return Result(requeue_after=AGAIN)
            if _is_declared(written):
                self._declared[key] = uid
                await _end(cluster, written)
            elif wait == 0:
                return Result(requeue_after=ASKED)
            _send_events(cluster, workload, conditions)
        return Result(requeue_after=wait or AGAIN) if wait is not None else None

    def forget(self, key: str) -> None:
        """Forget a Workload that is gone, or whose lease is not over any more."""
        self._declared.pop(key, None)


def earlier(first: Result | None, second: Result | None) -> Result | None:
    """Return the result that asks for the earlier time."""
    if first is None or second is None:
        return first or second
    both = [result.requeue_after for result in (first, second) if result.requeue_after is not None]
    return Result(requeue_after=min(both)) if both else first


def warning_of(class_: Object | None) -> int:
    """Return how many seconds before its end a lease of the class is announced to end."""
    rules = ((class_ or {}).get("spec") or {}).get("lease") or {}
    return int(rules.get("warningSeconds", WARNING))


def lease_conditions(workload: Object, warning: int, now: float, *, ours: bool = False) -> tuple[list[Object] | None, float | None]:
    """Return the Workload's conditions if its lease changes them, and the seconds until the next
    step.

    The seconds are 0 when the lease is over, and None without a lease. A condition LeaseExpired
    that is there already, and not by this process (`ours`), is taken back: a backup from that
    moment may have been restored. So the server decides again before the deletion."""
    status = workload.get("status") or {}
    before, lease = status.get("conditions") or [], status.get("lease")
    wanted: list[Object] = []
    wait: float | None = None
    if lease:
        start, end = (seconds_of(lease[field]) for field in ("startTime", "expirationTimestamp"))
        warned = end - min(warning, (end - start) / 2)
        wait = max(0.0, (end if now >= warned else warned) - now)
        if now >= warned:
            wanted.append(condition(EXPIRING, True, "LeaseEnds", _ends(lease), generation=workload["metadata"].get("generation")))
        if now >= end and (ours or not _is_declared(workload)):
            wanted.append(condition(EXPIRED, True, "LeaseEnded", f"its lease ended at {lease['expirationTimestamp']}: it is deleted"))
    types = {item["type"] for item in wanted}
    conditions = [
        item for item in set_conditions(before, wanted, timestamp()) if item["type"] not in (EXPIRING, EXPIRED) or item["type"] in types
    ]
    return (conditions if conditions != before else None), wait


def _is_declared(workload: Object) -> bool:
    """Return whether the Workload has the condition LeaseExpired."""
    return find_condition((workload.get("status") or {}).get("conditions"), EXPIRED) is not None


def _ends(lease: Object) -> str:
    since = lease.get("graceSince")
    why = f"the server was away or restored until {since}, so the lease got more time: " if since else ""
    return (
        f"{why}the Workload is deleted at {lease['expirationTimestamp']}, and its machine is released: raise "
        f"spec.lease.durationSeconds to keep it, which counts from {lease['startTime']}"
    )


def _send_events(cluster: Cluster, workload: Object, conditions: list[Object] | None) -> None:
    """Send an event when the end of the lease is announced or changes, and when it has come."""
    before = (workload.get("status") or {}).get("conditions")
    for type_ in (EXPIRING, EXPIRED):
        new, old = find_condition(conditions, type_), find_condition(before, type_)
        if new is not None and (old is None or old["message"] != new["message"]):
            cluster.events.event(typed(kinds.WORKLOADS, workload), "Warning", new["reason"], new["message"])


async def _end(cluster: Cluster, workload: Object) -> None:
    """Delete the Workload as its tenant would, unless it was changed since its lease was over.

    A set that controls the Workload gets the condition LeaseEnded before, so that it does not
    replace the Workload."""
    await end_leases(cluster, workload)
    log.info("workload %s: its lease is over: it is deleted", key_of(workload))
    version = workload["metadata"]["resourceVersion"]
    with ignore_not_found():
        await cluster.client.delete(
            kinds.WORKLOADS, name_of(workload), namespace_of(workload), uid=uid_of(workload), resource_version=version
        )
