"""Workloads that have a host: tells the provider what is to be true of it, reports what is, and lets go of it on deletion.

What the status says is decided in `status`; what is written to the machine is the provider's. Killed anywhere, it goes on
where the objects say that things are.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from apiserver.apis.host import host_name, uid_of_view
from controllers import kinds
from controllers.cluster import Cluster, claimed_host
from controllers.providers.base import Applied, ApplyRequest, Outcome, ProviderError, Source
from controllers.runtime.clock import timestamp
from controllers.runtime.conditions import find_condition
from controllers.runtime.controller import Controller, Result
from controllers.runtime.errors import ApiException, BadConfig
from controllers.runtime.objects import Object, deleting, key_of, labels_of, name_of, namespace_of
from controllers.status import (
    bound_status,
    class_gone,
    lost_status,
    must_announce,
    phase_of,
    releasing_status,
    starting_status,
    unknown_source,
    update_refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from controllers.providers.base import Provider
    from controllers.sources import Sources

__all__ = ["WorkloadController"]

log = logging.getLogger(__name__)

FIELDS = ("userData", "metaData", "networkData")
RESYNC = 600.0
POLL_RELEASE = 15.0
"""Seconds between looks at a host that is being emptied, should its events be missed."""
BINDING_FIRST, PATIENCE = 0.25, 5.0
"""Seconds until somebody just bound looks whether others are still being bound, and after which it waits no more."""
FOLLOW = 2.0
"""Seconds to wait for the Host of a fresh binding to be seen."""


class WorkloadController:
    """Reconciles Workloads by key."""

    def __init__(self, cluster: Cluster, sources: Sources, *, binding: Callable[[], bool] = lambda: False, workers: int = 8) -> None:
        """`binding`: whether Workloads are being bound; that goes first, for it is short, and provisioning long."""
        self._cluster, self._sources, self._binding = cluster, sources, binding
        self._waits: dict[str, float] = {}
        self.controller = Controller("workload", self.reconcile, workers=workers, group=self._class_of)
        cluster.workloads.add_handler(self._workload_changed)
        cluster.hosts.add_handler(self._host_changed)
        cluster.secrets.add_handler(self._secret_changed)
        sources.add_health_handler(self._class_changed)
        sources.add_change_handler(self._real_host_changed)

    async def run(self) -> None:
        await self.controller.run()

    def _class_of(self, key: str) -> str:
        """Whose source the Workload's reconcile may have to wait for."""
        workload = self._cluster.workloads.store.get(key) or {}
        return str((workload.get("spec") or {}).get("className") or "")

    def _workload_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self.controller.queue.add(key_of(new))

    def _host_changed(self, old: Object | None, new: Object | None) -> None:
        for host in (old, new):
            claim = (host or {}).get("spec", {}).get("claimRef")
            if claim:
                self.controller.queue.add(f"{claim['namespace']}/{claim['name']}")

    def _real_host_changed(self, class_name: str, uid: str) -> None:
        """What we wrote may have been overwritten at the source, which need not show in the Host."""
        self._host_changed(None, self._cluster.hosts.store.get(host_name(uid)))

    def _secret_changed(self, old: Object | None, new: Object | None) -> None:
        secret = new or old
        assert secret is not None
        for workload in self._cluster.workloads.store.by_index("secret", key_of(secret)):
            self.controller.queue.add(key_of(workload))

    def _class_changed(self, class_name: str) -> None:
        for host in self._cluster.hosts.store.by_index("class", class_name):
            self._host_changed(None, host)

    async def reconcile(self, key: str) -> Result | None:
        """Brings one Workload's host, and its status, where they should be."""
        workload = self._cluster.workloads.store.get(key)
        if workload is None:
            self._waits.pop(key, None)
            return None
        host = claimed_host(self._cluster, workload)
        if host is not None and not (workload.get("status") or {}).get("host"):
            # Taken back just now: one commit, but two watches, and the Host's event is on its way. Until it comes the Workload would be
            # reported as running, and given another host; deleted, it would wipe what its owner wants to look at.
            return Result(requeue_after=FOLLOW)
        if deleting(workload):
            return await self._delete(workload, host)
        if host is None:
            return await self._without_host(workload)
        return await self._apply(workload, host)

    async def _without_host(self, workload: Object) -> Result | None:
        if (workload.get("status") or {}).get("host"):
            return Result(requeue_after=FOLLOW)  # bound just now: the Host's event is on its way
        if phase_of(workload) == "Lost":
            await self._cluster.patch_status(kinds.WORKLOADS, workload, lost_status(workload, timestamp()))
        return None

    async def _apply(self, workload: Object, host: Object) -> Result | None:
        request = self._request(workload, host)
        provider = self._sources.get(host["spec"]["className"])
        if must_announce(workload) and self._binding_first(key_of(workload)):
            return Result(requeue_after=BINDING_FIRST)
        if provider is None:
            await self._report(workload, host, _unavailable(self._no_source(host)))
            return Result(requeue_after=RESYNC)
        if (known := provider.applied(request)) is not None:
            await self._report(workload, host, known)
            await self._drop_consumed(workload, host, known)
            return Result(requeue_after=RESYNC)
        request = await self._with_secrets(request)
        if refused := update_refused(workload, ((host.get("status") or {}).get("report") or {}).get("status") or {}):
            request = replace(request, blocked=refused)
        if request.blocked is None and must_announce(workload):
            starting = starting_status(workload, timestamp())
            announced = await self._cluster.patch_status(kinds.WORKLOADS, workload, starting)
            self._tell(workload, starting)
            workload = announced
        try:
            applied = await provider.apply(request)
        except (ApiException, ProviderError, BadConfig) as error:
            if isinstance(error, ApiException) and error.conflict:
                raise
            await self._report(workload, host, _unavailable(unknown_source()))
            if isinstance(error, ApiException):
                raise
            log.warning("workload %s: %s", key_of(workload), error)
            return Result(requeue_after=POLL_RELEASE)
        if applied.handed_back and kinds.CLAIMED_THROUGH in labels_of(workload):
            await self._drop(workload)
            return None
        await self._report(workload, host, applied)
        await self._drop_consumed(workload, host, applied)
        return Result(requeue_after=RESYNC)

    async def _drop(self, workload: Object) -> None:
        """Deletes a Workload that a claim through the view had made: its consumer has the claim at the source again. Releases nothing."""
        about = {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "metadata": workload["metadata"]}
        self._cluster.events.event(about, "Normal", "HandedBack", "its consumer goes on with the host where it came from")
        try:
            await self._cluster.client.delete(kinds.WORKLOADS, name_of(workload), namespace_of(workload), uid=workload["metadata"]["uid"])
        except ApiException as error:
            if not error.not_found:
                raise

    def _binding_first(self, key: str) -> bool:
        """Whether the Workload, bound just now, is to wait while others are being bound; it does so for PATIENCE seconds at most."""
        now = self.controller.queue.now()
        if self._binding() and now - self._waits.setdefault(key, now) < PATIENCE:
            return True
        self._waits.pop(key, None)
        return False

    def _no_source(self, host: Object) -> Outcome:
        """Why the host's class has no provider: it is only being started, unless the class itself is gone."""
        name = host["spec"]["className"]
        return unknown_source() if name in self._cluster.classes.store else class_gone(name)

    def _request(self, workload: Object, host: Object) -> ApplyRequest:
        """The request without its secrets; its version knows theirs."""
        source, view = host["spec"]["source"], host["spec"].get("view") or {}
        secrets = [self._secret_version(namespace_of(workload), reference) for reference in self._references(workload).values()]
        annotations = view.get("annotations") or {}
        parts = [workload["spec"], workload["metadata"]["uid"], secrets, annotations, view.get("name")]
        return ApplyRequest(
            workload=workload,
            source=Source(source.get("namespace") or "", source["name"], source["uid"]),
            secrets={},
            view_name=view.get("name") or source["name"],
            view_uid=uid_of_view(source, namespace_of(workload)),
            annotations=annotations,
            version=hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        )

    def _references(self, workload: Object) -> dict[str, str]:
        spec = workload["spec"]
        return {field: spec[field]["name"] for field in FIELDS if (spec.get(field) or {}).get("name")}

    def _secret_version(self, namespace: str, name: str) -> str:
        secret = self._cluster.secrets.store.get(f"{namespace}/{name}")
        return f"{secret['metadata']['uid']}/{secret['metadata']['resourceVersion']}" if secret else ""

    async def _with_secrets(self, request: ApplyRequest) -> ApplyRequest:
        """The request with the secrets' data, or blocked by the first that is missing."""
        namespace = namespace_of(request.workload)
        references = self._references(request.workload)
        found = await asyncio.gather(*(self._secret(namespace, name) for name in references.values()))
        secrets = {}
        for (field, name), data in zip(references.items(), found, strict=True):
            if data is None:
                message = f'the secret "{name}" (spec.{field}) does not exist in namespace "{namespace}": create it'
                return replace(request, blocked=Outcome(False, "SecretNotFound", message))
            secrets[field] = data
        return replace(request, secrets=secrets)

    async def _secret(self, namespace: str, name: str) -> dict[str, bytes] | None:
        try:
            secret = await self._cluster.client.get(kinds.SECRETS, name, namespace)
        except ApiException as error:
            if error.not_found:
                return None
            raise
        return {key: base64.b64decode(value) for key, value in (secret.get("data") or {}).items()}

    async def _report(self, workload: Object, host: Object, applied: Applied) -> None:
        """Writes the status, with events about what has changed."""
        observed = applied.observed or ((host.get("status") or {}).get("report") or {}).get("status")
        status = bound_status(
            workload, applied.bound, applied.synchronized, observed, empty=applied.empty, stalled=applied.stalled, now=timestamp()
        )
        await self._cluster.patch_status(kinds.WORKLOADS, workload, status)
        self._tell(workload, status)

    def _tell(self, workload: Object, status: Object) -> None:
        """Events: on a new phase, and on a new reason why the Workload is not synchronized or its host not its own."""
        about = {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "metadata": workload["metadata"]}
        before = (workload.get("status") or {}).get("conditions")
        conditions = status.get("conditions")
        for type_ in ("Bound", "Synchronized"):
            new, old = find_condition(conditions, type_), find_condition(before, type_)
            if new is not None and new["status"] == "False" and (old is None or old["reason"] != new["reason"]):
                self._cluster.events.event(about, "Warning", new["reason"], new["message"])
        phase = status.get("phase")
        if phase is not None and phase != phase_of(workload):
            ready = find_condition(conditions, "Ready") or {"message": ""}
            self._cluster.events.event(about, "Warning" if phase in {"Failed", "Lost"} else "Normal", phase, ready["message"] or phase)

    async def _drop_consumed(self, workload: Object, host: Object, applied: Applied) -> None:
        """Reboots that were done vanish from the tenant's view, as BMO would remove them from its host."""
        view = (host["spec"].get("view") or {}).get("name")
        if not applied.consumed or not view:
            return
        patch = {"metadata": {"annotations": dict.fromkeys(applied.consumed)}}
        try:
            await self._cluster.client.patch(kinds.views(self._cluster.view_group), view, patch, namespace_of(workload))
        except ApiException as error:
            if not error.not_found:
                raise

    async def _delete(self, workload: Object, host: Object | None) -> Result | None:
        """Releases the host, clears the claim, and only then lets the Workload go."""
        if kinds.RELEASE_FINALIZER not in (workload["metadata"].get("finalizers") or ()):
            return None
        if host is not None:
            provider = self._sources.get(host["spec"]["className"])
            released = await self._release(workload, host, provider) if provider is not None else self._no_source(host).message
            if released is not None:
                status = releasing_status(workload, released, timestamp())
                await self._cluster.patch_status(kinds.WORKLOADS, workload, status)
                return Result(requeue_after=POLL_RELEASE)
            await self._unbind(workload, host)
        return None if await self._let_go(workload) else Result(requeue_after=FOLLOW)

    async def _release(self, workload: Object, host: Object, provider: Provider) -> str | None:
        """None when the host is nobody's; otherwise what is waited for."""
        if phase_of(workload) != "Deprovisioning":
            status = releasing_status(workload, "the host is being released", timestamp())
            await self._cluster.patch_status(kinds.WORKLOADS, workload, status)
            return "the host is being released"  # woken by this very write
        try:
            released = await provider.release(self._request(workload, host))
        except ProviderError as error:
            log.warning("workload %s: %s", key_of(workload), error)
            return unknown_source().message
        except ApiException as error:
            if not error.conflict:
                await self._cluster.patch_status(
                    kinds.WORKLOADS, workload, releasing_status(workload, unknown_source().message, timestamp())
                )
            raise
        return None if released.done else released.message

    async def _unbind(self, workload: Object, host: Object) -> None:
        """Clears the claim, if it still is this Workload's."""
        try:
            current = await self._cluster.client.get(kinds.HOSTS, name_of(host))
        except ApiException as error:
            if error.not_found:
                return
            raise
        if (current["spec"].get("claimRef") or {}).get("uid") != workload["metadata"]["uid"]:
            return
        patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"]}, "spec": {"claimRef": None}}
        await self._cluster.client.patch(kinds.HOSTS, name_of(host), patch)

    async def _let_go(self, workload: Object) -> bool:
        """Removes the finalizer; somebody else's stay. False if it has a host after all, which merely was not seen yet."""
        try:
            current = await self._cluster.client.get(kinds.WORKLOADS, name_of(workload), namespace_of(workload))
        except ApiException as error:
            if error.not_found:
                return True
            raise
        finalizers = current["metadata"].get("finalizers") or []
        if current["metadata"]["uid"] != workload["metadata"]["uid"] or kinds.RELEASE_FINALIZER not in finalizers:
            return True
        # A binding sets status.host and the finalizer in one commit with the claim; unbinding clears it in one, too.
        if (current.get("status") or {}).get("host"):
            return False
        left = [finalizer for finalizer in finalizers if finalizer != kinds.RELEASE_FINALIZER]
        patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"], "finalizers": left}}
        await self._cluster.client.patch(kinds.WORKLOADS, name_of(workload), patch, namespace_of(workload))
        return True


def _unavailable(why: Outcome) -> Applied:
    """Nothing could be done; what is known of the host stays."""
    return Applied(Outcome(True, "Bound", "the host is this Workload's"), why)
