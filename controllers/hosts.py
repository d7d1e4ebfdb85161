"""Hosts: one object per real host that a class's provider reports, kept as it reports, and deleted when the host is gone.

A claimed Host is never deleted: what is known of the machine stays, and its Workload is told. Of two classes that see the same
real host, the first keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.apis.host import host_name
from controllers import kinds
from controllers.consumers import consumer_gone
from controllers.runtime.controller import Controller, Result
from controllers.runtime.errors import ApiException
from controllers.runtime.objects import Object, key_of, name_of

if TYPE_CHECKING:
    from controllers.cluster import Cluster
    from controllers.providers.base import ProviderHost
    from controllers.sources import Sources

__all__ = ["HostController", "gone_status", "host_status", "new_host"]

SEPARATOR = "|"
ABANDONED = "Abandoned"


class HostController:
    """Reconciles hosts by "class|real uid"."""

    def __init__(self, cluster: Cluster, sources: Sources, *, workers: int = 4) -> None:
        self._cluster, self._sources = cluster, sources
        self.controller = Controller("host", self.reconcile, workers=workers, group=lambda key: key.partition(SEPARATOR)[0])
        sources.add_change_handler(lambda class_name, uid: self._add(class_name, uid))
        sources.add_health_handler(self._class_changed)
        cluster.hosts.add_handler(self._host_changed)
        cluster.classes.add_handler(self._class_deleted)
        cluster.workloads.add_handler(self._workload_changed)

    async def run(self) -> None:
        await self.controller.run()

    def _add(self, class_name: str, uid: str) -> None:
        self.controller.queue.add(f"{class_name}{SEPARATOR}{uid}")

    def _class_deleted(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is None:
            self._class_changed(name_of(old))

    def _class_changed(self, class_name: str) -> None:
        """The provider has started, stopped or synced: hosts may be missing, or be gone."""
        for host in self._cluster.hosts.store.by_index("class", class_name):
            self._add(class_name, host["spec"]["source"]["uid"])

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        host = new or old
        assert host is not None
        uid = host["spec"]["source"]["uid"]
        self._add(host["spec"]["className"], uid)
        if new is None:
            # Another class that sees the same host may have it now.
            for class_name in self._sources.names():
                if uid in self._sources.overlaps(class_name):
                    self._add(class_name, uid)

    def _workload_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (new is None or consumer_gone(old) != consumer_gone(new)):
            for host in self._cluster.hosts.store.by_index("claim", key_of(old)):
                self._add(host["spec"]["className"], host["spec"]["source"]["uid"])

    def _consumer_gone(self, host: Object) -> str:
        """What there is to say of the claim's consumer, if it is gone."""
        claim = host["spec"].get("claimRef")
        return consumer_gone(self._cluster.workloads.store.get(f"{claim['namespace']}/{claim['name']}")) if claim else ""

    async def _abandoned(self, host: Object) -> bool:
        """Whether the host is claimed by a Workload that is no more. Asked for if it is not seen here: it may have been made just now."""
        claim = host["spec"].get("claimRef")
        if not claim:
            return False
        workload = self._cluster.workloads.store.get(f"{claim['namespace']}/{claim['name']}")
        if workload is None or workload["metadata"]["uid"] != claim["uid"]:
            try:
                workload = await self._cluster.client.get(kinds.WORKLOADS, claim["name"], claim["namespace"])
            except ApiException as error:
                if error.not_found:
                    return True
                raise
        return bool(workload["metadata"]["uid"] != claim["uid"])

    async def reconcile(self, key: str) -> Result | None:
        """Makes the Host say what the provider reports."""
        class_name, _, uid = key.partition(SEPARATOR)
        provider = self._sources.get(class_name)
        host = self._cluster.hosts.store.get(host_name(uid))
        reported = provider.host(uid) if provider is not None else None
        overlaps = self._sources.overlaps(class_name)
        if reported is None:
            overlaps.discard(uid)
            await self._missing(class_name, host)
            return None
        if host is None:
            host = await self._cluster.client.create(kinds.HOSTS, new_host(class_name, reported))
        elif host["spec"]["className"] != class_name:
            overlaps.add(uid)
            return None
        overlaps.discard(uid)
        await self._put(host, host_status(reported, host, abandoned=await self._abandoned(host), consumer_gone=self._consumer_gone(host)))
        if reported.leftovers and provider is not None and not host["spec"].get("claimRef"):
            await provider.tidy(uid)
        return None

    async def _missing(self, class_name: str, host: Object | None) -> None:
        """The provider does not report the host: because it is gone, or merely because we cannot tell."""
        if host is None or host["spec"]["className"] != class_name or host["metadata"].get("deletionTimestamp"):
            return
        provider = self._sources.get(class_name)
        class_gone = class_name not in self._cluster.classes.store
        if not class_gone and (provider is None or not provider.synced):
            return
        if host["spec"].get("claimRef"):
            await self._put(host, gone_status(host, class_gone=class_gone))
            return
        version = host["metadata"]["resourceVersion"]
        try:
            await self._cluster.client.delete(kinds.HOSTS, name_of(host), uid=host["metadata"]["uid"], resource_version=version)
        except ApiException as error:
            if not error.not_found:
                raise

    async def _put(self, host: Object, status: Object) -> None:
        current = host.get("status") or {}
        kept = {key: current[key] for key in ("phase", "conditions") if key in current}
        if {**kept, **status} == current:
            return
        await self._cluster.client.update(kinds.HOSTS, {**host, "status": {**kept, **status}}, subresource="status")


def new_host(class_name: str, reported: ProviderHost) -> Object:
    """The Host object of a real host."""
    source = {"name": reported.source.name, "uid": reported.source.uid}
    if reported.source.namespace:
        source["namespace"] = reported.source.namespace
    if reported.source.identity_namespace:
        source["identityNamespace"] = reported.source.identity_namespace
    return {
        "apiVersion": kinds.HOSTS.api_version,
        "kind": "Host",
        "metadata": {"name": host_name(reported.source.uid)},
        "spec": {"className": class_name, "source": source},
    }


def host_status(reported: ProviderHost, host: Object, *, abandoned: bool = False, consumer_gone: str = "") -> Object:
    """Host.status from the provider's report. A real host that a Workload of ours has without a claim here is an orphan; a claim whose
    Workload is gone (its finalizer was removed by force) is abandoned; one whose Workload's own consumer is gone says so (`consumer_gone`).
    None is released by itself: something may run there."""
    status: Object = {"available": reported.available, "report": reported.report}
    reason, message = reported.reason, reported.message
    claim, consumer = host["spec"].get("claimRef"), reported.consumer
    if claim is None and consumer is not None and consumer.workload_uid:
        reason = "Orphaned"
        message = (
            f"its consumer is {consumer.kind} {consumer.namespace}/{consumer.name}, which has no claim here: if nobody uses it, "
            f"{reported.to_free}"
        )
    if consumer_gone and not status["available"] and reason == "Claimed":
        reason, message = "ConsumerGone", consumer_gone
    if abandoned:
        reason = ABANDONED
        message = (
            f"the workload {claim['namespace']}/{claim['name']} is gone without having released the host: to free it, "
            f"clear spec.claimRef here, then {reported.to_free}"
        )
        status["available"] = False
    if not status["available"]:
        status |= {"reason": reason or "NotAvailable", "message": message}
    if reported.dirty_for is not None:
        status["dirtyFor"] = reported.dirty_for
    if reported.held is not None and claim is None:
        status["held"] = reported.held
    return status


def gone_status(host: Object, *, class_gone: bool) -> Object:
    """The status of a claimed Host whose real host is gone, or cannot be reached for good: last known state stays."""
    status = {key: value for key, value in (host.get("status") or {}).items() if key not in {"phase", "conditions"}}
    if class_gone:
        reason, message = (
            "ClassGone",
            f"WorkloadClass {host['spec']['className']} was deleted: create it again, or clear spec.claimRef here",
        )
    else:
        reason, message = "HostGone", "the real host is gone: delete the Workload that has it"
    return {**status, "available": False, "reason": reason, "message": message}
