"""Reconcile Workloads that have a host: apply the spec, report the state, and release the host.

The request is built in `request`, the status is decided in `status` and written by `reporter`, and
`release` handles deletion. The provider writes to the machine. After a crash at any point, the next
process continues from the state in the objects.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Literal, Protocol

from apiserver.apis.workload import host_of
from apiserver.client.clock import timestamp
from apiserver.client.errors import ApiException, BadConfig, ignore_not_found
from apiserver.client.objects import Object, deleting, key_of, labels_of, name_of, namespace_of, typed
from controllers import kinds
from controllers.classaccess import deployment_terms, not_allowed
from controllers.cluster import Cluster, claimed_host, gang_key
from controllers.gangcounts import gang_counts, has_host
from controllers.providers.base import Applied, ApplyRequest, Outcome, Provider, ProviderError
from controllers.quotacharges import is_settling
from controllers.runtime.conditions import find_condition, is_true
from controllers.runtime.controller import Controller, Result, tenant_of
from controllers.workload.lease import Leases, earlier
from controllers.workload.release import release, remove_finalizer, report_releasing, unbind
from controllers.workload.reporter import report, report_status, report_unavailable
from controllers.workload.request import apply_request, unusable, with_secrets
from controllers.workload.reschedule import is_reschedulable, is_rescheduling, lost_claim, reschedule, rescheduling_status
from controllers.workload.status import (
    class_gone,
    has_deployment,
    lost_status,
    must_announce,
    phase_of,
    runs_something,
    starting_status,
    unknown_source,
    update_refused,
)
from controllers.workloadclass.providers import Sources

log = logging.getLogger(__name__)

RESYNC = 600.0
AGAIN = 60.0
"""The seconds between checks of an obstacle, such as a missing secret that has no watch."""
POLL_RELEASE = 15.0
"""The seconds between checks of a host that is being deprovisioned, in case its events are
missed."""
BINDING_FIRST, PATIENCE = 0.25, 5.0
"""The seconds between checks whether other Workloads are still being bound, and the longest time
that a new Workload waits for them."""
SETTLING = 10.0
"""The seconds after which a Workload stops waiting for its last host to be reported as free."""
STARTING = 5.0
"""The seconds between checks of a source that is read for the first time, in case its event is
missed."""
GANG_PATIENCE = 60.0
"""The seconds for which a host is kept for a member whose gang lacks others."""
GANG_INCOMPLETE = "GangIncomplete"
"""The reason for giving up a host that no other consumer has, so that it becomes free for
others."""
FOLLOW = 2.0
"""The seconds to wait for the Host of a new binding."""


class SchedulerHandle(Protocol):
    """Declares what this controller uses of the scheduler."""

    def is_binding(self, namespace: str) -> bool:
        """Return whether Workloads of the namespace are queued for a host.

        Bindings come first, because they are short, and installations are long."""

    def avoid(self, host: Object) -> None:
        """Avoid for a while a Host that is given up because another consumer has it."""


class WorkloadController:
    """Reconciles Workloads by key."""

    def __init__(
        self,
        cluster: Cluster,
        sources: Sources,
        scheduler: SchedulerHandle,
        *,
        workers: int = 8,
        patience: float = PATIENCE,
    ) -> None:
        """Create the controller. For `patience`, see PATIENCE."""
        self._patience = patience
        self._cluster, self._sources, self._scheduler = cluster, sources, scheduler
        self._waits: dict[str, float] = {}
        self._left: dict[str, float] = {}
        self._failing: dict[str, float] = {}
        self._kept: dict[str, float] = {}
        self._leases = Leases()
        self.controller = Controller(
            "workload", self.reconcile, workers=workers, group=self._class_of, flow=tenant_of, traced=cluster.uid_of_workload
        )
        cluster.workloads.add_handler(self._workload_changed)
        cluster.hosts.add_handler(self._host_changed)
        cluster.secrets.add_handler(self._secret_changed)
        cluster.classes.add_handler(self._terms_changed)
        sources.add_health_handler(self._class_changed)

    async def run(self) -> None:
        await self.controller.run()

    def enqueue_for_host(self, host: Object, *, later: bool = False) -> None:
        """Queue the Workload that has the host, because something about it may have changed at the
        source."""
        claim = host["spec"].get("claimRef") or host["spec"].get("chargedTo")
        if claim and claim["name"]:
            self.controller.queue.add(f"{claim['namespace']}/{claim['name']}", later=later)

    def _class_of(self, key: str) -> str:
        """Return the class whose source the reconcile may have to wait for."""
        workload = self._cluster.workloads.store.get(key) or {}
        return str((workload.get("spec") or {}).get("className") or "")

    def _workload_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.controller.queue.add(key_of(new))
            if has_host(new) and not (old is not None and has_host(old)):
                self._gang_grew(new)

    def _gang_grew(self, workload: Object) -> None:
        """Queue the members of a gang whose last missing member has got a host."""
        for gang in gang_key(workload):
            members = self._cluster.workloads.store.by_index("gang", gang)
            if not gang_counts(members).missing:
                for member in filter(is_reschedulable, members):
                    self.controller.queue.add(key_of(member))

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        for host in (old, new):
            if host is not None:
                self.enqueue_for_host(host)

    def _secret_changed(self, key: str) -> None:
        for workload in self._cluster.workloads.store.by_index("secret", key):
            self.controller.queue.add(key_of(workload))

    def _terms_changed(self, old: Object | None, new: Object | None) -> None:
        """Queue a class's Workloads when the rules for their deployments have changed."""
        if old is not None and new is not None and deployment_terms(old) != deployment_terms(new):
            self._class_changed(name_of(new))

    def _class_changed(self, class_name: str) -> None:
        for host in self._cluster.hosts.store.by_index("class", class_name):
            self.enqueue_for_host(host, later=True)

    async def reconcile(self, key: str) -> Result | None:
        """Reconcile one Workload's host and status."""
        workload = self._cluster.workloads.store.get(key)
        if workload is None:
            self._waits.pop(key, None)
            self._left.pop(key, None)
            self._failing.pop(key, None)
            self._kept.pop(key, None)
            self._leases.forget(key)
            return None
        host = claimed_host(self._cluster, workload)
        if host is not None and not host_of(workload):
            # The claim was cleared, but the cached Host is stale, because Hosts and Workloads
            # arrive on separate watches. Acting on it could report Running, bind another host, or
            # wipe a disk that the owner wants to examine.
            return Result(requeue_after=FOLLOW)
        if deleting(workload):
            return await self._delete(workload, host)
        if host is None:
            return await self._without_host(workload)
        again = await self._leases.reconcile(self._cluster, workload)
        workload = self._cluster.workloads.store.get(key) or workload
        return earlier(await self._with_host(workload, host), again)

    async def _without_host(self, workload: Object) -> Result | None:
        if host_of(workload):
            return Result(requeue_after=FOLLOW)  # just bound: the Host's event will follow
        if phase_of(workload) == "Lost":
            await self._cluster.patch_status(kinds.WORKLOADS, workload, lost_status(workload, timestamp()))
        return None

    async def _with_host(self, workload: Object, host: Object) -> Result | None:
        request = apply_request(self._cluster, workload, host)
        provider = self._sources.get(host["spec"]["className"])
        if self._starting(host):
            return Result(requeue_after=STARTING)
        if is_rescheduling(workload):
            return await self._reschedule(workload, host)
        if must_announce(workload) and self._binding_first(key_of(workload)):
            return Result(requeue_after=BINDING_FIRST)
        if is_reschedulable(workload) and (lacking := self._lacking(workload)) is not None:
            return await self._keep_for_gang(workload, host, lacking)
        self._kept.pop(key_of(workload), None)
        if provider is None:
            await report_unavailable(self._cluster, workload, host, self._no_source(host))
            return Result(requeue_after=RESYNC)
        known = provider.applied(request)
        if known is None:
            return await self._apply(workload, host, provider, request)
        await report(self._cluster, workload, host, known)
        await self._drop_consumed(workload, host, known)
        return Result(requeue_after=RESYNC)

    def _lacking(self, workload: Object) -> Outcome | None:
        """Return what the Workload's gang lacks before anything is installed on a host, or None.

        The scheduler plans a gang as a whole. But a binding may be refused, by a quota for example,
        or the process may end between two of them."""
        for gang in gang_key(workload):
            now = gang_counts(self._cluster.workloads.store.by_index("gang", gang))
            if now.missing:
                message = f"{now.hosts} of the {now.needed} members that the gang needs have hosts"
                return Outcome(False, GANG_INCOMPLETE, message)
        return None

    async def _keep_for_gang(self, workload: Object, host: Object, lacking: Outcome) -> Result | None:
        """Keep the host for GANG_PATIENCE, then give it up, so that two gangs do not wait for each
        other's hosts forever."""
        key, now = key_of(workload), self.controller.queue.now()
        left = self._kept.setdefault(key, now) + GANG_PATIENCE - now
        if left > 0:
            return Result(requeue_after=left)
        del self._kept[key]
        workload = await report_status(self._cluster, workload, rescheduling_status(workload, lacking))
        return await self._reschedule(workload, host)

    async def _apply(self, workload: Object, host: Object, provider: Provider, request: ApplyRequest) -> Result | None:
        """Let the provider write to the machine."""
        class_ = self._cluster.classes.store.get(host["spec"]["className"])
        request = await with_secrets(self._cluster, request, class_, takes_auth=provider.passes_image_auth)
        seen = ((host.get("status") or {}).get("report") or {}).get("status") or {}
        if refused := update_refused(workload, seen) or self._not_allowed(workload, host, seen):
            request = replace(request, blocked=refused)
        if must_announce(workload) and request.blocked is None:
            request = replace(request, blocked=unusable(request))
        if must_announce(workload) and request.blocked is None:
            workload = await report_status(
                self._cluster, workload, starting_status(workload, timestamp(), runs=has_deployment(workload, seen))
            )
        try:
            applied = await provider.apply(request)
        except (ApiException, ProviderError, BadConfig) as error:
            if isinstance(error, ApiException) and error.conflict:
                raise
            if not self._patient(workload):
                await report_unavailable(self._cluster, workload, host, unknown_source())
            if isinstance(error, ApiException):
                raise
            log.warning("workload %s: %s", key_of(workload), error)
            return Result(requeue_after=POLL_RELEASE)
        self._failing.pop(key_of(workload), None)
        if applied.rejected_cleanly and is_reschedulable(workload):
            workload = await report_status(self._cluster, workload, rescheduling_status(workload, applied.bound))
            return await self._reschedule(workload, host)
        if applied.rejected_cleanly and applied.bound.reason == "HostTaken" and lost_claim(workload):
            await self._drop(workload, "Warning", "HostTaken", "another consumer was faster to take the host: choose another host")
            return None
        if applied.returned_to_previous_owner and kinds.CLAIMED_THROUGH in labels_of(workload):
            await self._drop(workload, "Normal", "HandedBack", "its consumer keeps using the host where it came from")
            return None
        await report(self._cluster, workload, host, applied)
        await self._drop_consumed(workload, host, applied)
        return Result(requeue_after=RESYNC if request.blocked is None else AGAIN)

    def _not_allowed(self, workload: Object, host: Object, seen: Object) -> Outcome | None:
        """Return why the host's class does not allow the Workload to deploy, or None.

        What is already deployed stays."""
        class_ = self._cluster.classes.store.get(host["spec"]["className"])
        if class_ is None or not runs_something(workload) or has_deployment(workload, seen):
            return None
        refused = not_allowed(class_, workload)
        return Outcome(False, *refused) if refused is not None else None

    async def _reschedule(self, workload: Object, host: Object) -> Result | None:
        bound = find_condition((workload.get("status") or {}).get("conditions"), "Bound") or {}
        if bound.get("reason") != GANG_INCOMPLETE:
            self._scheduler.avoid(host)
        done = await reschedule(self._cluster, workload, host, self._sources.get(host["spec"]["className"]))
        return None if done else Result(requeue_after=POLL_RELEASE)

    async def _drop(self, workload: Object, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Delete a Workload that was created by a claim through the view, because another consumer
        has its host.

        This releases nothing at the source."""
        self._cluster.events.event(typed(kinds.WORKLOADS, workload), kind, reason, message)
        with ignore_not_found():
            await self._cluster.client.delete(kinds.WORKLOADS, name_of(workload), namespace_of(workload), uid=workload["metadata"]["uid"])

    def _binding_first(self, key: str) -> bool:
        """Return whether a new Workload waits while others are being bound, at most `patience`
        seconds."""
        now = self.controller.queue.now()
        if self._scheduler.is_binding(tenant_of(key)) and now - self._waits.setdefault(key, now) < self._patience:
            return True
        self._waits.pop(key, None)
        return False

    def _settling(self, key: str) -> bool:
        """Return whether to wait for the report that ends the namespace's charge for the host.

        Until then, the quota counts the Workload, and would refuse a replacement. The wait ends
        after SETTLING, because the source may be silent."""
        now = self.controller.queue.now()
        return now - self._left.setdefault(key, now) < SETTLING

    def _no_source(self, host: Object) -> Outcome:
        """Return why the host's class has no provider: the provider cannot be created, or the class
        is gone."""
        return class_gone(host["spec"]["className"]) if self._class_gone(host) else unknown_source()

    def _starting(self, host: Object) -> bool:
        """Return whether it is too early to use the host's source, or to report that it does not
        answer."""
        return self._sources.starting(host["spec"]["className"]) and not self._class_gone(host)

    def _class_gone(self, host: Object) -> bool:
        return host["spec"]["className"] not in self._cluster.classes.store

    def _patient(self, workload: Object) -> bool:
        """Return whether it is too early to report that the source does not answer.

        This is so while nothing new is requested from it, and it has failed for less than
        `Sources.grace`."""
        status, key, now = workload.get("status") or {}, key_of(workload), self.controller.queue.now()
        asked = status.get("observedGeneration") != workload["metadata"].get("generation")
        if asked or not is_true(status.get("conditions"), "Synchronized"):
            return False
        return now - self._failing.setdefault(key, now) < self._sources.grace

    async def _drop_consumed(self, workload: Object, host: Object, applied: Applied) -> None:
        """Remove annotations of completed reboots from the tenant's view, as BMO does on its
        host."""
        view = (host["spec"].get("view") or {}).get("name")
        if not applied.consumed_annotations or not view:
            return
        patch = {"metadata": {"annotations": dict.fromkeys(applied.consumed_annotations)}}
        with ignore_not_found():
            await self._cluster.client.patch(kinds.views(self._cluster.view_group), view, patch, namespace_of(workload))

    async def _delete(self, workload: Object, host: Object | None) -> Result | None:
        """Release the host, clear the claim, and only then remove the finalizer."""
        if kinds.RELEASE_FINALIZER not in (workload["metadata"].get("finalizers") or ()):
            return None
        if host is not None and self._starting(host):
            return Result(requeue_after=STARTING)
        if host is not None:
            provider = self._sources.get(host["spec"]["className"])
            waits = await release(self._cluster, workload, host, provider) if provider is not None else self._no_source(host).message
            if waits is not None:
                await report_releasing(self._cluster, workload, waits)
                return Result(requeue_after=POLL_RELEASE)
            left = await unbind(self._cluster, workload, host)
        else:
            left = next((one for one in self._cluster.hosts.store.by_index("charge", key_of(workload)) if is_settling(one, workload)), None)
            await self._forget(workload)
        if left is not None and is_settling(left, workload) and self._settling(key_of(workload)):
            return Result(requeue_after=FOLLOW)
        return None if await remove_finalizer(self._cluster, workload) else Result(requeue_after=FOLLOW)

    async def _forget(self, workload: Object) -> None:
        """Let the source remove what is left of a Workload whose host was taken back.

        A source that does not answer is only logged."""
        provider = self._sources.get(workload["spec"].get("className") or "")
        if provider is None:
            return
        try:
            await provider.forget(workload["metadata"]["uid"])
        except (ApiException, BadConfig, ProviderError) as error:
            log.warning("workload %s: what it left at its source is not removed: %s", key_of(workload), error)
