"""Reconcile Reservations: set hosts aside, give them back at the end, and report their number.

All Reservations are planned together (`plan`), from what is stored alone. The record of the
decision is Host.spec.reservedFor, which the server respects in every claim. A process that ends
halfway leaves a smaller difference to the next plan.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from apiserver.apis.host import dirty_for, reserved_for, unavailable_reason
from apiserver.apis.reservation import has_ended, has_started, is_expired, moment
from apiserver.client.client import JSON_PATCH
from apiserver.client.errors import ApiException
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, deleting, key_of, name_of, namespace_of, typed, uid_of
from controllers import kinds
from controllers.classaccess import is_active
from controllers.cluster import Cluster, tenancy_of, without_managers
from controllers.reservation.metrics import ReservationMetrics
from controllers.reservation.plan import Active, plan
from controllers.reservation.status import FULFILLED, ended, obstacle, status_of
from controllers.runtime.conditions import find_condition
from controllers.runtime.controller import Controller, Result
from controllers.scheduler.controller import Scheduler

log = logging.getLogger(__name__)

ALL = "all"
"""The only key: Reservations are planned together."""
GATHER = 0.1
"""The seconds in which changes are collected, because hosts change in bunches."""
SHARE = 10.0
"""The ratio of other time to planning time."""
AT_ONCE = 16
AGAIN = 1.0
"""The seconds after which a refused write is decided again."""
RESYNC = 300.0
REFUSALS = (404, 409, 413, 422)
"""The HTTP codes of refusals that concern one object: it has changed, or it would be too large."""


class ReservationController:
    """Reconciles all Reservations together."""

    def __init__(self, cluster: Cluster, scheduler: Scheduler) -> None:
        """Create the controller. It follows Reservations by itself, so that an API server of an
        earlier version, which has none, delays nothing else."""
        self._cluster, self._scheduler, self._took = cluster, scheduler, 0.0
        self._short: set[str] = set()
        """The classes of Reservations that lack hosts."""
        self._held: dict[str, tuple[Object, int]] = {}
        self.reservations = Informer(cluster.client, kinds.RESERVATIONS, transform=without_managers)
        self.metrics = ReservationMetrics(self.reservations.store)
        self.controller = Controller("reservation", self.reconcile, workers=1)
        self.reservations.add_handler(self._reservation_changed)
        cluster.hosts.add_handler(self._host_changed)
        cluster.workloads.add_handler(self._workload_changed)
        cluster.classes.add_handler(self._class_changed)
        cluster.namespaces.add_handler(self._namespace_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reservations.run())
            await self.reservations.synced.wait()
            self._wake()  # hosts may be set aside for Reservations that are gone
            group.create_task(self.controller.run())

    def _wake(self) -> None:
        if self.reservations.synced.is_set():
            self.controller.queue.add_after(ALL, max(GATHER, SHARE * self._took))

    def _reservation_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or _terms(old) != _terms(new):
            self._wake()

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        if not len(self.reservations.store) and not any(host is not None and "reservedFor" in host["spec"] for host in (old, new)):
            return
        if old is None or new is None or _relevant(old) != _relevant(new):
            self._wake()
        if new is not None and new["spec"]["className"] in self._short and _is_free(new) and not (old is not None and _is_free(old)):
            self._held[name_of(new)] = new, self._scheduler.hold(new)

    def _workload_changed(self, old: Object | None, new: Object | None) -> None:
        """Plan again when a Workload begins to give its host back."""
        if new is not None and self._short and deleting(new) and not (old is not None and deleting(old)):
            self._wake()

    def _class_changed(self, old: Object | None, new: Object | None) -> None:
        rules = [(one["spec"].get("allowedNamespaces"), deleting(one)) for one in (old, new) if one is not None]
        if len(rules) < 2 or rules[0] != rules[1]:
            self._wake()

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or tenancy_of(old) != tenancy_of(new) or is_active(old) != is_active(new):
            self._wake()

    async def reconcile(self, _: str) -> Result:
        """Set hosts aside and give them back as the present plan says, and write all status."""
        held, self._held = self._held, {}
        try:
            return await self._reconcile(datetime.now(UTC))
        finally:
            self._scheduler.unhold(held.values())

    async def _reconcile(self, now: datetime) -> Result:
        done = await self._end(now)
        active = [Active(one, self._namespace_uid(one)) for one in self._all() if self._obstacle(one, now) is None]
        hosts = list(self._cluster.hosts.store)
        started = time.perf_counter()
        # This runs in a thread, because thousands of hosts take a while.
        changes = await asyncio.to_thread(plan, active, hosts, self._leaving(hosts) if active else ())
        self._took = time.perf_counter() - started
        done = await self._apply(changes) and done
        for one in self._all():
            await self._report(one, self._obstacle(one, now))
        self._short = {one["spec"]["className"] for one in self._all() if (one.get("status") or {}).get("missing")}
        return Result(requeue_after=seconds_until_change(self._all(), now) if done else max(AGAIN, SHARE * self._took))

    def _leaving(self, hosts: list[Object]) -> set[str]:
        """Return the names of the Hosts whose Workloads are being deleted."""
        claims = ((name_of(host), host["spec"]["claimRef"]) for host in hosts if host["spec"].get("claimRef"))
        workloads = ((name, self._cluster.workloads.store.get(f"{claim['namespace']}/{claim['name']}")) for name, claim in claims)
        return {name for name, workload in workloads if workload is not None and deleting(workload)}

    def _all(self) -> list[Object]:
        """Return the Reservations in the order in which they choose hosts."""
        there = (one for one in self.reservations.store if not deleting(one))
        return sorted(there, key=lambda one: (one["metadata"].get("creationTimestamp") or "", key_of(one)))

    def _obstacle(self, one: Object, now: datetime) -> tuple[str, str] | None:
        return obstacle(one, now, self._cluster.classes.store.get, self._cluster.namespaces.store.get(namespace_of(one)))

    def _namespace_uid(self, one: Object) -> str:
        namespace = self._cluster.namespaces.store.get(namespace_of(one))
        return uid_of(namespace) if namespace is not None else ""

    async def _end(self, now: datetime) -> bool:
        """Report the Reservations whose time is over. Return whether the server agrees.

        Their hosts return only afterwards, because the server's clock decides."""
        agreed = True
        for one in self._all():
            if has_ended(one["spec"], now) and not is_expired(one):
                agreed = await self._report(one, ended(one)) and agreed
        return agreed

    async def _report(self, one: Object, found: tuple[str, str] | None) -> bool:
        """Write the status. Return whether the server took it."""
        status = status_of(one, self._cluster.hosts.store.by_index("reservation", uid_of(one)), found)
        before, after = (find_condition((of or {}).get("conditions"), "Ready") or {} for of in (one.get("status"), status))
        try:
            written = await self._cluster.patch_status(kinds.RESERVATIONS, one, status)
        except ApiException as error:
            if error.status not in REFUSALS:
                raise
            log.info("reservation %s: its status is refused: %s", key_of(one), error)
            self.controller.queue.add_after(ALL, AGAIN)
            return False
        self.reservations.learn(written)
        if before.get("reason") != after["reason"]:
            normal = after["reason"] in (FULFILLED, "NotStarted", "Expired")
            self._cluster.events.event(typed(kinds.RESERVATIONS, one), "Normal" if normal else "Warning", after["reason"], after["message"])
        return True

    async def _apply(self, changes: Mapping[str, Object | None]) -> bool:
        """Write the marks of the plan, those that are removed first. Return whether all were
        taken."""
        ordered = sorted(changes, key=lambda name: changes[name] is not None)
        answers: list[bool] = []
        for start in range(0, len(ordered), AT_ONCE):
            answers += await asyncio.gather(*(self._mark(name, changes[name]) for name in ordered[start : start + AT_ONCE]))
        return all(answers)

    async def _mark(self, name: str, mark: Object | None) -> bool:
        """Set the Host aside, or give it back. Return False if it has changed since."""
        host = self._cluster.hosts.store.get(name)
        if host is None:
            return True
        patch: list[Object] = [{"op": "test", "path": "/metadata/uid", "value": uid_of(host)}]
        if mark is not None:
            patch.append({"op": "add", "path": "/spec/reservedFor", "value": mark})
        else:
            patch.append({"op": "test", "path": "/spec/reservedFor", "value": host["spec"].get("reservedFor")})
            patch.append({"op": "remove", "path": "/spec/reservedFor"})
        try:
            written = await self._cluster.client.patch(kinds.HOSTS, name, patch, content_type=JSON_PATCH)
        except ApiException as error:
            if error.status not in REFUSALS:
                raise
            log.info("host %s: not marked: %s", name, error)
            return False
        self._cluster.learn(kinds.HOSTS, written)
        return True


def _terms(reservation: Object) -> tuple[object, ...]:
    """Return the parts of a Reservation on which the plan depends."""
    return reservation["spec"], uid_of(reservation), deleting(reservation), is_expired(reservation)


def _relevant(host: Object) -> tuple[object, ...]:
    """Return the parts of a Host on which the plan depends."""
    spec, status = host["spec"], host.get("status") or {}
    report = status.get("report") or {}
    tenancy = spec.get("claimRef"), spec.get("reservedFor"), status.get("dirtyForUID"), bool(status.get("held"))
    machine = report.get("labels"), (report.get("status") or {}).get("hardware")
    return spec["className"], tenancy, unavailable_reason(host), deleting(host), machine


def _is_free(host: Object) -> bool:
    """Return whether everybody may have the Host now."""
    return unavailable_reason(host) is None and dirty_for(host) is None and reserved_for(host) is None


def seconds_until_change(reservations: list[Object], now: datetime) -> float:
    """Return the seconds until the next Reservation begins or ends."""
    times = [moment(one["spec"]["endTime"]) for one in reservations if not has_ended(one["spec"], now)]
    times += [moment(one["spec"]["startTime"]) for one in reservations if not has_started(one["spec"], now)]
    return min([RESYNC, *((time - now).total_seconds() + 0.01 for time in times)])
