"""Reconcile Hosts: keep one object per real host that a class's provider reports.

The object is deleted when the real host is gone. A claimed Host is never deleted: what is known of
the machine stays, and its Workload reports the loss. If two classes see the same real host, the
first one keeps it.
"""

from __future__ import annotations

import logging

from pydantic import ValidationError

from apiserver.apis.host import HostStatus, host_name
from apiserver.apis.names import CLASS_LABEL
from apiserver.apis.workloadclass import requires_healthy
from apiserver.client.client import JSON_PATCH
from apiserver.client.errors import ApiException, ignore_not_found
from apiserver.client.objects import Object, deleting, key_of, labels_of, name_of, typed, uid_of
from controllers import kinds
from controllers.cluster import Cluster
from controllers.consumer.controller import consumer_gone
from controllers.host.abandoned import ABANDONED, AbandonedSince, Terms, looks_lost, reclaim, terms_of, wait_of, with_abandonment
from controllers.host.events import host_events
from controllers.host.health import with_health
from controllers.host.tenancy import with_tenancy
from controllers.providers.base import Provider, ProviderHost
from controllers.quotacharges import ends, is_over
from controllers.runtime.conditions import find_condition
from controllers.runtime.controller import Controller, Result
from controllers.workload.controller import WorkloadController
from controllers.workloadclass.providers import Sources

log = logging.getLogger(__name__)

REFUSALS = (413, 422)
"""The HTTP codes of the server's refusal of a report, which would be refused again."""
SEPARATOR = "|"
POLL, RESYNC = 15.0, 600.0
"""The seconds between two checks of an abandoned claim: while it is being ended, and before
that."""


class HostController:
    """Reconciles hosts by "class|real uid"."""

    def __init__(self, cluster: Cluster, sources: Sources, workloads: WorkloadController, *, workers: int = 8) -> None:
        self._cluster, self._sources, self._workloads = cluster, sources, workloads
        self._changed: set[str] = set()
        self._abandoned_since = AbandonedSince()
        self.controller = Controller(
            "host", self.reconcile, workers=workers, group=lambda key: key.partition(SEPARATOR)[0], traced=self._workload_uid
        )
        sources.add_change_handler(self._reported)
        sources.add_health_handler(self._class_changed)
        cluster.hosts.add_handler(self._host_changed)
        cluster.classes.add_handler(self._terms_changed)
        cluster.workloads.add_handler(self._workload_changed)
        cluster.namespaces.add_handler(self._namespace_changed)

    def _workload_uid(self, key: str) -> str:
        """Return the uid of the Workload that has the host of a key, or ""."""
        host = self._cluster.hosts.store.get(host_name(key.partition(SEPARATOR)[2]))
        return str(((host or {"spec": {}})["spec"].get("claimRef") or {}).get("uid") or "")

    async def run(self) -> None:
        await self.controller.run()

    def _add(self, class_name: str, uid: str, *, later: bool = False) -> None:
        self.controller.queue.add(f"{class_name}{SEPARATOR}{uid}", later=later)

    def _reported(self, class_name: str, uid: str) -> None:
        """Queue a real host that has changed. Claimed hosts come first, because there may be very
        many free ones."""
        host = self._cluster.hosts.store.get(host_name(uid))
        claimed = host is not None and bool(host["spec"].get("claimRef"))
        if claimed:
            self._changed.add(f"{class_name}{SEPARATOR}{uid}")
        self._add(class_name, uid, later=not claimed)

    def _terms_changed(self, old: Object | None, new: Object | None) -> None:
        """Queue the hosts of a class that is deleted, or whose rules for abandoned claims or for
        unhealthy hosts changed."""
        if old is not None and (new is None or _terms(old) != _terms(new)):
            self._class_changed(name_of(old))

    def _class_changed(self, class_name: str) -> None:
        """Queue all hosts of a class whose provider has started, stopped or synced."""
        for host in self._cluster.hosts.store.by_index("class", class_name):
            self._add(class_name, host["spec"]["source"]["uid"], later=True)

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        host = new or old
        assert host is not None
        if old is not None and new is not None:
            if _relevant(old) == _relevant(new):
                return
            for type_, reason, message in host_events(old, new):
                self._cluster.events.event(typed(kinds.HOSTS, new), type_, reason, message)
        uid = host["spec"]["source"]["uid"]
        self._add(host["spec"]["className"], uid, later=True)
        if new is None:
            # Another class that sees the same host may have it now.
            for class_name in self._sources.names():
                if uid in self._sources.overlaps(class_name):
                    self._add(class_name, uid)

    def _workload_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (new is None or consumer_gone(old) != consumer_gone(new)):
            for host in self._cluster.hosts.store.by_index("claim", key_of(old)):
                self._add(host["spec"]["className"], host["spec"]["source"]["uid"])

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        """Queue hosts reserved for a namespace whose name belongs to another namespace now, or to
        none."""
        if old is None or new is None or uid_of(old) != uid_of(new):
            for host in self._cluster.hosts.store.by_index("namespace", name_of(new or old or {})):
                self._add(host["spec"]["className"], host["spec"]["source"]["uid"])

    def _consumer_gone(self, host: Object) -> str:
        """Return the message about the claim's consumer if it is gone, else ""."""
        claim = host["spec"].get("claimRef")
        return consumer_gone(self._cluster.workloads.store.get(f"{claim['namespace']}/{claim['name']}")) if claim else ""

    async def _abandoned(self, host: Object) -> bool:
        """Return whether the Workload that claims the host does not exist any more.

        If the Workload is not cached here, both objects are read from the server. The Workload may
        be new, or may have ended together with the claim."""
        claim = host["spec"].get("claimRef")
        if not claim:
            return False
        workload = self._cluster.workloads.store.get(f"{claim['namespace']}/{claim['name']}")
        if workload is not None and workload["metadata"]["uid"] == claim["uid"]:
            return False
        if await self._exists(claim):
            return False
        current = await self._cluster.client.get(kinds.HOSTS, name_of(host))
        return bool((current["spec"].get("claimRef") or {}).get("uid") == claim["uid"])

    async def _exists(self, claim: Object) -> bool:
        """Return whether exactly the claim's Workload (same uid) is in the store."""
        try:
            workload = await self._cluster.client.get(kinds.WORKLOADS, claim["name"], claim["namespace"])
        except ApiException as error:
            # Only an answer about this object counts: a kind that is not served for a while is not
            # an absence.
            if error.not_found and error.details.get("name") == claim["name"]:
                return False
            raise
        return bool(workload["metadata"]["uid"] == claim["uid"])

    async def reconcile(self, key: str) -> Result | None:
        """Make the Host equal to the provider's report."""
        changed = key in self._changed
        self._changed.discard(key)
        try:
            return await self._reconcile(key, changed=changed)
        except BaseException:
            if changed:
                self._changed.add(key)
            raise

    async def _reconcile(self, key: str, *, changed: bool) -> Result | None:
        class_name, _, uid = key.partition(SEPARATOR)
        provider = self._sources.get(class_name)
        host = self._cluster.hosts.store.get(host_name(uid))
        reported = self._report(provider, uid, class_name)
        overlaps = self._sources.overlaps(class_name)
        if reported is None:
            overlaps.discard(uid)
            self._abandoned_since.forget(host_name(uid))
            await self._missing(class_name, host)
            return None
        if host is None:
            host = await self._cluster.client.create(kinds.HOSTS, new_host(class_name, reported))
        elif host["spec"]["className"] != class_name:
            overlaps.add(uid)
            return None
        overlaps.discard(uid)
        terms = self._terms(host) if await self._abandoned(host) else None
        status = host_status(reported, host, abandoned=terms is not None, consumer_gone=self._consumer_gone(host))
        status = with_abandonment(status, host, terms, reported.to_free)
        status = with_tenancy(status, reported, host, self._cluster.namespaces.store.get)
        if not await self._put(host, status) and changed:
            self._workloads.enqueue_for_host(host)  # the Host is unchanged, so no watch event will follow
        if ends(host, reported, self._cluster.namespaces.store.get):
            await self._uncharge(host)
        if reported.leftovers and provider is not None and not host["spec"].get("claimRef"):
            await provider.tidy(uid)
        if terms is None or provider is None:
            self._abandoned_since.forget(name_of(host))
            return None
        return await self._end_abandoned(host, status, terms, provider, reported)

    def _report(self, provider: Provider | None, uid: str, class_name: str) -> ProviderHost | None:
        """Return the provider's report on a host, which the class's rules for health may make
        unavailable."""
        reported = provider.host(uid) if provider is not None else None
        return with_health(reported, self._cluster.classes.store.get(class_name)) if reported is not None else None

    def _terms(self, host: Object) -> Terms:
        return terms_of(self._cluster.classes.store.get(host["spec"]["className"]), lost=looks_lost(self._cluster))

    async def _end_abandoned(self, host: Object, status: Object, terms: Terms, provider: Provider, reported: ProviderHost) -> Result | None:
        """Report a claim whose Workload is gone to the owner, and end it when its class says so."""
        current = find_condition((host.get("status") or {}).get("conditions"), ABANDONED)
        if current is None or current["reason"] != terms.reason:
            self._cluster.events.event(typed(kinds.HOSTS, host), "Warning", ABANDONED, status["message"])
        wait = wait_of(status, terms, self._abandoned_since.seconds(host, terms))
        if wait is None:
            return Result(requeue_after=RESYNC)
        if wait > 0:
            return Result(requeue_after=min(wait, RESYNC))  # the store may look damaged meanwhile
        return None if await reclaim(self._cluster, host, provider, reported.consumer) else Result(requeue_after=POLL)

    async def _missing(self, class_name: str, host: Object | None) -> None:
        """Handle a host that the provider does not report, because it is gone, or because that is
        unknown."""
        if host is None or host["spec"]["className"] != class_name or deleting(host):
            return
        provider = self._sources.get(class_name)
        class_gone = class_name not in self._cluster.classes.store
        if not class_gone and (provider is None or not provider.synced):
            return
        if host["spec"].get("claimRef"):
            await self._put(host, gone_status(host, class_gone=class_gone))
            if provider is not None:
                await provider.forget(host["spec"]["claimRef"]["uid"])
            return
        version = host["metadata"]["resourceVersion"]
        with ignore_not_found():
            await self._cluster.client.delete(kinds.HOSTS, name_of(host), uid=host["metadata"]["uid"], resource_version=version)

    async def _put(self, host: Object, status: Object) -> bool:
        """Write the status if it differs, and return whether it did."""
        changed = changed_status(host, status)
        if changed is None and (is_over(host, status) or labels_of(host).get(CLASS_LABEL) != host["spec"]["className"]):
            changed = host["status"]  # the server ends the charge, or labels a Host of an earlier version
        if changed is None:
            return False
        try:
            await self._write(host, changed)
        except ApiException as error:
            if error.status not in REFUSALS:
                raise
            log.warning("host %s: its report is refused: %s", name_of(host), error)
            return await self._put_refused(host, status)
        return True

    async def _uncharge(self, host: Object) -> None:
        """Remove the host from the account of its last tenant."""
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": uid_of(host)},
            {"op": "test", "path": "/spec/chargedTo", "value": host["spec"]["chargedTo"]},
            {"op": "remove", "path": "/spec/chargedTo"},
        ]
        try:
            await self._cluster.client.patch(kinds.HOSTS, name_of(host), patch, content_type=JSON_PATCH)
        except ApiException as error:
            # The host has another charge by now, or none. Its next event decides about that.
            if not (error.invalid or error.not_found):
                raise

    async def _write(self, host: Object, status: Object) -> None:
        """Replace the status of exactly this Host (same uid), whatever its resourceVersion.

        No other process writes the status. Claims and offers, which the server writes, are not
        affected. A status that was decided before such a write is decided again when the write is
        seen."""
        patch = [{"op": "test", "path": "/metadata/uid", "value": uid_of(host)}, {"op": "add", "path": "/status", "value": status}]
        written = await self._cluster.client.patch(kinds.HOSTS, name_of(host), patch, subresource="status", content_type=JSON_PATCH)
        self._cluster.learn(kinds.HOSTS, written)

    async def _put_refused(self, host: Object, status: Object) -> bool:
        """Write that the server refuses the report. The last accepted report stays, and the host is
        not offered."""
        changed = changed_status(host, refused_status(host, status))
        if changed is not None:
            await self._write(host, changed)
        return changed is not None


def _terms(class_: Object) -> tuple[object, ...]:
    """Return the parts of a class on which the status of its Hosts depends."""
    return class_["spec"].get("reclaim"), requires_healthy(class_["spec"])


def _relevant(host: Object) -> tuple[object, ...]:
    """Return the parts of a Host on which its report depends, without its offers, which change
    often."""
    spec = host["spec"]
    terms = spec.get("chargedTo"), bool(spec.get("unschedulable"))
    return spec["className"], spec.get("claimRef"), terms, host.get("status"), deleting(host)


def new_host(class_name: str, reported: ProviderHost) -> Object:
    """Return the Host object of a real host."""
    source = {"name": reported.source.name, "uid": reported.source.uid}
    if reported.source.namespace:
        source["namespace"] = reported.source.namespace
    if reported.source.identity_namespace:
        source["identityNamespace"] = reported.source.identity_namespace
    return {
        "apiVersion": kinds.HOSTS.api_version,
        "kind": "Host",
        "metadata": {"name": host_name(reported.source.uid), "labels": {CLASS_LABEL: class_name}},
        "spec": {"className": class_name, "source": source},
    }


def host_status(reported: ProviderHost, host: Object, *, abandoned: bool = False, consumer_gone: str = "") -> Object:
    """Return Host.status for the provider's report.

    A real host that names one of our Workloads, but has no claim here, is orphaned. `abandoned`
    says that the claim's Workload has disappeared from the store. `consumer_gone` is the message
    about a Workload whose own consumer is gone, or ""."""
    status: Object = {"available": reported.available, "report": reported.report}
    reason, message = reported.reason, reported.message
    claim, consumer = host["spec"].get("claimRef"), reported.consumer
    if claim is None and consumer is not None and consumer.workload_uid and reported.held is None:
        reason = "Orphaned"
        message = (
            f"its consumer is {consumer.kind} {consumer.namespace}/{consumer.name}, which has no claim here: if the store was lost, "
            "`metal3-workloads recover` gives the host back to it; only if what runs on the host is no longer needed, "
            f"{reported.to_free}"
        )
    if consumer_gone and not status["available"] and reason == "Claimed":
        reason, message = "ConsumerGone", consumer_gone
    if abandoned:
        reason = ABANDONED
        message = f"the workload {claim['namespace']}/{claim['name']} is gone without having released the host"
        status["available"] = False
    if not status["available"]:
        status |= {"reason": reason or "NotAvailable", "message": message}
    if reported.error:
        status["errorMessage"] = reported.error
    return status


def changed_status(host: Object, status: Object) -> Object | None:
    """Return Host.status with the report, or None if it is unchanged.

    The server stores a report in its model's form. Fields that the model prunes or fills do not
    count as a difference, because otherwise each event about the host would cause a write."""
    current = host.get("status") or {}
    kept = {key: current[key] for key in ("phase", "conditions") if key in current}
    wanted = {**kept, **status}
    if wanted == current:
        return None
    try:
        return None if HostStatus.decode(wanted).encode() == current else wanted
    except ValidationError:
        return wanted  # the server reports what is wrong with it


def refused_status(host: Object, status: Object) -> Object:
    """Return the status of a Host whose report (in `status`) the server refuses.

    It has the last accepted report, and is not available."""
    current = host.get("status") or {}
    kept: Object = {key: current[key] for key in ("report", "held", "heldBy") if key in current}
    dirty: Object = {key: status[key] for key in ("dirtyFor", "dirtyForUID") if key in status}
    return {**kept, **dirty, "available": False, "reason": "ReportRefused", "message": _REFUSED}


_REFUSED = (
    "the server refuses what the real host reports, so the last report that it took is shown: the controllers' log says which field; "
    "correct it at the real host, or upgrade"
)


def gone_status(host: Object, *, class_gone: bool) -> Object:
    """Return the status of a claimed Host whose real host is gone, or whose class is.

    The last known state stays."""
    status = {key: value for key, value in (host.get("status") or {}).items() if key not in {"phase", "conditions"}}
    if class_gone:
        reason, message = (
            "ClassGone",
            f"WorkloadClass {host['spec']['className']} was deleted: create it again, or clear spec.claimRef here",
        )
    else:
        reason, message = "HostGone", _GONE
    return {**status, "available": False, "reason": reason, "message": message}


_GONE = (
    "the real host is gone, or the class leads elsewhere since its parameters or credentials were changed: if the machine still exists, "
    "correct the class, and its Workload recovers; only if the machine is gone for good, delete the Workload that has it"
)
