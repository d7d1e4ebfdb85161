"""Serve the tenants' BareMetalHost views: a write changes the Workload and the Host behind the
view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiserver.apis import metal3
from apiserver.apis.host import adopted_consumer
from apiserver.apis.names import ADOPTS, CLAIMED_THROUGH
from apiserver.apis.status import ApiError, conflict, method_not_allowed, not_found
from apiserver.apis.workloadclass import unhealthy_limit
from apiserver.registry import hardwaredata
from apiserver.registry.claims import usagerecords
from apiserver.registry.claims.claims import Claims, bound, foreign, free_reason, with_release_finalizer
from apiserver.registry.claims.conditions import with_conditions
from apiserver.registry.claims.confirmation import Confirmations
from apiserver.registry.claims.projection import claimed_by, host_of
from apiserver.registry.claims.viewupdate import Refused, Taken, ViewUpdate, view_update
from apiserver.registry.generic import metadata
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.registry import Registry, managed_fields
from apiserver.registry.generic.resource import ALL_VERBS, READ_WRITE, Column, Resource
from apiserver.registry.generic.strategy import Admission, Strategy
from apiserver.registry.generic.validation import refuse
from apiserver.registry.workload import checksum_causes, class_spec, deploy_causes
from storage.base import Operation
from storage.cache import WatchCache

COLUMNS = (
    Column("Status", "status.operationalStatus", priority=1, description="Operational status"),
    Column("State", "status.provisioning.state", description="Provisioning status"),
    Column("Consumer", "spec.consumerRef.name", description="Consumer using this host"),
    Column("BMC", "spec.bmc.address", priority=1, description="Address of management controller"),
    Column("Online", "spec.online", description="Whether the host is online or not"),
    Column("Error", "status.errorType", description="Type of the most recent error"),
    Column("Age", "metadata.creationTimestamp", type="date", description="Time duration since creation of BaremetalHost"),
)
"""The columns of BMO's CRD."""


def baremetalhosts(group: str = metal3.GROUP, *, view: bool) -> Resource:
    """Return the resource of the tenants' view in `group`, or of BMO's own kind.

    The view refuses CREATE, and its status is read-only."""
    return Resource(
        group=group,
        version=metal3.VERSION,
        kind="BareMetalHost",
        plural="baremetalhosts",
        short_names=("bmh", "bmhost"),
        model=metal3.BareMetalHost,
        columns=COLUMNS,
        indexed={".host": "status.provisioning.ID"},
        subresources={"status": frozenset({"get"}) if view else READ_WRITE},
        verbs=ALL_VERBS - {"create"} if view else ALL_VERBS,
    )


class BareMetalHostViewStrategy(Strategy):
    """Stores a view as the projection of a Host and a Workload, which carry out the writes."""

    def __init__(self, resource: Resource, claims: Claims) -> None:
        self.resource, self.claims = resource, claims
        self.confirmations = Confirmations(claims)

    def check_access(self, entry: Entry) -> None:
        """Raise NotFound if another namespace has the host, even before the offer is withdrawn.

        The client must not learn, now or later, that another namespace has taken the host."""
        host = self.claims.hosts.find("", entry.fields[".host"])
        if host is not None and host.fields[".claimNamespace"] not in ("", None, entry.namespace):
            raise self._unknown(entry.name)

    def mark_deleted(self, old: dict[str, Any], propagation: str) -> dict[str, Any] | None:
        """Remove an offer at once, and the view of a claimed host after the release of the host.

        A view has no finalizer of its own."""
        host = self.claims.hosts.find("", host_of(old))
        if host is None or not claimed_by(host.object(), old["metadata"]["namespace"]):
            return None
        if "deletionTimestamp" in old["metadata"]:
            return old
        return {**old, "metadata": {**old["metadata"], **metadata.deletion_mark(old["metadata"])}}

    def may_end(self, new: dict[str, Any]) -> bool:
        """Return False, because the claim keeps the view, not a finalizer."""
        return False

    def releases(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        """Return whether the consumer gives the host back."""
        return "consumerRef" in old["spec"] and "consumerRef" not in new["spec"]

    async def operations(
        self, context: Context, entry: Entry | None, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Operation]]:
        """Return the view as it is projected afterwards, and the writes of the Workload and the
        Host behind it.

        Raises ApiError: 405 for a new view, 409 if another client has claimed the host, 422 for a
        field that a tenant may not change."""
        if entry is None or old is None:
            raise method_not_allowed(self.resource.group, self.resource.plural, "views are created by offers, not by clients")
        host_entry = self.claims.hosts.find("", host_of(old))
        if host_entry is None:
            raise self._gone(entry.name)
        host = host_entry.object()
        current = self.claims.workload_of_host(host)
        if "deletionTimestamp" in new["metadata"] and "deletionTimestamp" not in old["metadata"]:
            return await self._release(context, entry, host_entry, host, current)
        if current is None and await self.claims.namespaces.has_passed(host["spec"].get("claimRef")):
            raise self._unknown(entry.name)
        update = self._view_update(context, old, new, host, current)
        claims = update.action in ("claim", "adopt", "give up")
        if not claims:
            context.finish(False)  # a previous attempt may have tried to create a Workload
        if update.action == "nothing":
            return old, []
        if claims:
            view, operations = await self._claim(context, entry, host_entry, host, update)
        else:
            view, operations = await self._change(context, entry, host_entry, host, current, update)
        return self._tracked(context, new, view), operations

    def operations_of_removal(self, entry: Entry, last: dict[str, Any]) -> list[Operation]:
        """Remove the namespace from the Host's offers, so that the host can be offered to it
        again."""
        host_entry = self.claims.hosts.find("", host_of(last))
        host = host_entry.object() if host_entry is not None else {"spec": {}}
        offers = host["spec"].get("offers") or []
        if host_entry is None or entry.namespace not in offers or "claimRef" in host["spec"]:
            return []
        host = {**host, "spec": {**host["spec"], "offers": [name for name in offers if name != entry.namespace]}}
        return [self.claims.hosts.put(host_entry, host)]

    def check_commit(self, old: dict[str, Any] | None, new: dict[str, Any], operations: Sequence[Operation], *, follows: bool) -> None:
        """Check the view with the Host, and with the Workload that has it."""
        host = self.claims.hosts.find("", host_of(new))
        if host is not None:
            self.claims.check_commit(host, new["metadata"]["namespace"], host.fields[".claimName"], operations, follows=follows)

    async def after_commit(self, context: Context, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """Withdraw the other namespaces' offers of a claimed host.

        The answer to a claim waits a moment until the host's source has agreed or not: 409 if
        another consumer took the real host first."""
        await self.claims.show_now(host_of(new))
        if old is None or "consumerRef" in old["spec"] or "consumerRef" not in new["spec"]:
            return
        host = self.claims.hosts.find("", host_of(new))
        workload = self.claims.workload_of_host(host.object()) if host is not None else None
        if workload is not None and await self.confirmations.lost(workload.object(), context.user.flow):
            raise self._taken(new["metadata"]["name"])

    def _tracked(self, context: Context, new: dict[str, Any], view: dict[str, Any]) -> dict[str, Any]:
        """Return the view with the managedFields of the write.

        They are corrected for the fields that the projection omits or adds."""
        return self.claims.views.tracking.track(context, new, view, managed_fields(new), "", metadata.now())

    def _view_update(
        self, context: Context, old: dict[str, Any], new: dict[str, Any], host: dict[str, Any], current: Entry | None
    ) -> ViewUpdate:
        claimed = claimed_by(host, old["metadata"]["namespace"])
        releasing = claimed and (current is None or "deletionTimestamp" in current.object()["metadata"])
        try:
            update = view_update(old, new, host, claimed=claimed, releasing=releasing, has_version=context.has_version)
            if update.action in ("claim", "change"):
                self._check_deployment(host, old["spec"], update.changes)
            self._warn_of_mark(context, old, new, host)
            return update
        except Refused as refused:
            raise refuse(self.resource, old["metadata"]["name"], refused.causes) from None
        except Taken:
            raise self._taken(old["metadata"]["name"]) from None

    def _warn_of_mark(self, context: Context, old: dict[str, Any], new: dict[str, Any], host: dict[str, Any]) -> None:
        """Warn about the effect of a mark as unhealthy.

        The mark is accepted in any case, because remediation continues without reading the
        answer."""
        before, after = (obj["metadata"].get("annotations") or {} for obj in (old, new))
        key = next((key for key in metal3.UNHEALTHY if key in after and key not in before), None)
        if key is None:
            return
        warning = _mark_warning(key, unhealthy_limit(class_spec(self.claims.classes, host["spec"]["className"]) or {}))
        if warning not in context.warnings:
            context.warnings.append(warning)

    def _check_deployment(self, host: dict[str, Any], before: dict[str, Any], changes: dict[str, Any]) -> None:
        """Raise Refused if the class of the host does not allow the new deployment."""
        terms = class_spec(self.claims.classes, host["spec"]["className"]) or {}
        causes = deploy_causes({**changes, "className": host["spec"]["className"]}, terms) + checksum_causes(changes, terms, before)
        if causes:
            raise Refused(causes)

    async def _claim(
        self, context: Context, entry: Entry, host_entry: Entry, host: dict[str, Any], update: ViewUpdate
    ) -> tuple[dict[str, Any], list[Operation]]:
        """Return the claimed view, and the operations that create the Workload and record the
        claim.

        All belong in one commit."""
        namespace_uid = await self.claims.namespaces.current(entry.namespace)
        if update.action != "claim" and foreign(host["status"]["held"], namespace_uid):
            raise self._gone(entry.name)
        why = free_reason(host, namespace_uid) if update.action == "claim" else None
        if why is not None:
            raise conflict(self.resource.group, self.resource.plural, entry.name, why)
        workloads = self.claims.workloads
        name = entry.name if workloads.find(entry.namespace, entry.name) is None else metadata.generated_name(f"{entry.name}-")
        if update.action != "claim" and not _may_follow(host["status"]["held"], name):
            raise self._of_lost(entry.name, host["status"]["held"]["spec"]["consumerRef"]["name"])
        spec = {field: value for field, value in update.changes.items() if value is not None}
        # A BareMetalHost whose image changes is provisioned again.
        spec |= {"className": host["spec"]["className"], "hostRef": {"name": entry.name}, "updatePolicy": "Recreate"}
        meta: dict[str, Any] = {"name": name, "labels": {CLAIMED_THROUGH: "baremetalhost"}}
        if update.action != "claim":
            meta["annotations"] = {ADOPTS: adopted_consumer(host["status"]["held"]["spec"]["consumerRef"])}
        made = await workloads.admit_new(context, entry.namespace, {"metadata": meta, "spec": spec})
        terms = class_spec(self.claims.classes, host["spec"]["className"]) or {}
        host, made = bound(host, made, update.tenant, namespace_uid, terms.get("lease"))
        if update.action == "give up":
            made = metadata.mark_deleted(made, "") or made
        view = self.claims.view_object(host, made, entry.namespace, entry.name)
        used = usagerecords.operations(self.claims.records, host, begins=True)
        return view, [workloads.put(None, made, follows=False), self.claims.hosts.put(host_entry, host), *used]

    async def _change(
        self, context: Context, entry: Entry, host_entry: Entry, host: dict[str, Any], current: Entry | None, update: ViewUpdate
    ) -> tuple[dict[str, Any], list[Operation]]:
        """Return the changed view, and the operations on the Workload and the Host, for one commit.

        They release the host if the consumer was removed."""
        operations: list[Operation] = []
        changed: dict[str, Any] | None = None
        if current is not None:
            changed = await self._changed_workload(context, current, update)
            operations.append(self.claims.workloads.put(current, changed, follows=False))
        host = {**host, "spec": {**host["spec"], "view": update.tenant}}
        operations.append(self.claims.hosts.put(host_entry, host))
        return self.claims.view_object(host, changed, entry.namespace, entry.name), operations

    async def _changed_workload(self, context: Context, current: Entry, update: ViewUpdate) -> dict[str, Any]:
        """Return the Workload after the write.

        The result equals the object that the Workload's own registry would store for this write."""
        workloads, old = self.claims.workloads, current.object()
        changed = await workloads.admit_change(context, current, old, _with_spec(old, update.changes)) if update.changes else old
        if update.action != "release":
            return changed
        await workloads.admit_deletion(context, current, changed)
        return metadata.mark_deleted(with_release_finalizer(changed), "") or changed

    async def _release(
        self, context: Context, entry: Entry, host_entry: Entry, host: dict[str, Any], current: Entry | None
    ) -> tuple[dict[str, Any], list[Operation]]:
        """Return the view marked as deleted, and the operations that release its host, for one
        commit."""
        operations: list[Operation] = [self.claims.hosts.put(host_entry, host)]
        marked = None
        if current is not None:
            await self.claims.workloads.admit_deletion(context, current, current.object())
            marked = metadata.mark_deleted(with_release_finalizer(current.object()), "")
        if current is not None and marked is not None:
            operations.append(self.claims.workloads.put(current, marked))
        view = self.claims.view_object(host, marked, entry.namespace, entry.name)
        view["metadata"] |= metadata.deletion_mark(view["metadata"])
        return view, operations

    def _taken(self, name: str) -> ApiError:
        return conflict(self.resource.group, self.resource.plural, name, "the host is claimed already; choose another one")

    def _of_lost(self, name: str, workload: str) -> ApiError:
        why = f"the host is the Workload {workload}'s, which was lost: create a Workload of this name to have the host again"
        return conflict(self.resource.group, self.resource.plural, name, why)

    def _unknown(self, name: str) -> ApiError:
        return not_found(self.resource.group, self.resource.plural, name)

    def _gone(self, name: str) -> ApiError:
        return conflict(self.resource.group, self.resource.plural, name, "the host is no longer offered; choose another one")


class BareMetalHostViewRegistry(Registry):
    """The registry of views, which are stored, but written only as the projection of a Host and a
    Workload."""

    def __init__(self, cache: WatchCache, claims: Claims, admission: Admission | None = None, group: str = metal3.GROUP) -> None:
        indexers = {"host": lambda e: [e.fields[".host"]], **hardwaredata.INDEXERS}
        resource = baremetalhosts(group, view=True)
        strategy = BareMetalHostViewStrategy(resource, claims)
        self.confirmations = strategy.confirmations
        super().__init__(resource, cache, strategy=strategy, admission=admission, indexers=indexers, convert=with_conditions)


def _may_follow(held: dict[str, Any], name: str) -> bool:
    """Return whether a Workload of this name may take over the claim that the host's source knows.

    A Workload that the store has lost has one successor: the Workload of its name."""
    return not held.get("recovered") or held["spec"]["consumerRef"].get("name") == name


def _mark_warning(key: str, limit: int) -> str:
    if not limit:
        return f"metadata.annotations: {key} ends with the claim: the class does not let tenants keep hosts out of service"
    return (
        f"metadata.annotations: {key} keeps the host out of service after the claim, and in the namespace's quota, until its owner has "
        f"repaired it; the class lets a namespace have {limit} such host(s), and any further mark ends with the claim"
    )


def _with_spec(obj: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the Workload with these spec fields set, or removed for None."""
    spec = {k: v for k, v in obj["spec"].items() if changes.get(k, v) is not None} | {k: v for k, v in changes.items() if v is not None}
    return {**obj, "spec": spec}
