"""Serve the tenants' BareMetalHost views: a write changes the Workload and the Host behind the
view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis import metal3
from apiserver.apis.host import ADOPTS, adopted_consumer
from apiserver.apis.status import ApiError, conflict, not_found
from apiserver.apis.workloadclass import unhealthy_limit
from apiserver.registry.claims.claims import Claims, bound, foreign, free_reason, held_back
from apiserver.registry.claims.confirmation import Confirmations
from apiserver.registry.claims.projection import CLAIMED_THROUGH, claimed_by, host_of
from apiserver.registry.claims.viewupdate import Refused, Taken, ViewUpdate, view_update
from apiserver.registry.generic import metadata
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.entry import Entry, encode_stored
from apiserver.registry.generic.registry import Registry, deletion_mark, managed_fields, mark_deleted, now
from apiserver.registry.generic.resource import ALL_VERBS, Column, Resource
from apiserver.registry.generic.sharing import sharing
from apiserver.registry.generic.tracking import settled, with_fields
from apiserver.registry.generic.validation import normalize, refuse
from apiserver.registry.workload import checksum_causes, class_spec, deploy_causes
from storage.base import Conflict, Delete

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.registry.generic.context import Context, DeleteOptions
    from apiserver.registry.generic.strategy import Admission
    from storage.base import Operation
    from storage.cache import WatchCache

__all__ = ["BareMetalHostViewRegistry", "baremetalhosts"]

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
        singular="baremetalhost",
        short_names=("bmh", "bmhost"),
        model=metal3.BareMetalHost,
        columns=COLUMNS,
        indexed={".host": "status.provisioning.ID"},
        subresources={"status": frozenset({"get"}) if view else frozenset({"get", "update", "patch"})},
        verbs=ALL_VERBS - {"create"} if view else ALL_VERBS,
    )


class BareMetalHostViewRegistry(Registry):
    """The registry of views, which are stored only as the projection of a Host and a Workload."""

    def __init__(self, cache: WatchCache, claims: Claims, admission: Admission | None = None, group: str = metal3.GROUP) -> None:
        indexers = {"host": lambda e: [e.fields[".host"]]}
        super().__init__(baremetalhosts(group, view=True), cache, admission=admission, indexers=indexers)
        self.claims = claims
        self.confirmations = Confirmations(claims)

    async def update(
        self,
        context: Context,
        namespace: str,
        name: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        subresource: str = "",
        applied: bool = False,
    ) -> Entry:
        """Execute a tenant's write. A claim waits a moment for the confirmation by the host's
        source.

        Raises ApiError: 409 if another consumer claims the host, 422 for what a tenant may not
        change."""
        before = self.find(namespace, name)
        written = await self._write(context, namespace, name, change, subresource, applied=applied)
        if not context.dry_run and before is not None and _claims(before.object(), written.object()):
            await self._confirmed(written)
        return written

    async def _confirmed(self, view: Entry) -> None:
        """Raise ApiError (409) if another consumer took the real host first."""
        host = self.claims.hosts.find("", host_of(view.object()))
        workload = self.claims.workload_of_host(host.object()) if host is not None else None
        if workload is not None and await self.confirmations.lost(workload.object()):
            raise self._taken(view.name)

    async def _write(
        self,
        context: Context,
        namespace: str,
        name: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        subresource: str,
        *,
        applied: bool,
    ) -> Entry:
        async def attempt() -> Entry:
            entry = self._get_for_write(namespace, name)
            old = entry.object()
            wanted = change(old)
            new = await self._wanted(context, entry, old, wanted)
            host_entry = self.claims.hosts.find("", host_of(old))
            if host_entry is None:
                raise self._gone(name)
            host = host_entry.object()
            current = self.claims.workload_of_host(host)
            if current is None and await self.claims.namespaces.has_passed(host["spec"].get("claimRef")):
                raise not_found(self.resource.group, self.resource.plural, name)
            update = self._view_update(context, old, new, host, current)
            claims = update.action in ("claim", "adopt", "give up")
            if not claims:
                context.settle(False)  # a previous attempt may have been to create a Workload
            if update.action == "nothing":
                return entry
            if claims:
                view, operations = await self._claim(context, entry, host_entry, host, update)
            else:
                view, operations = await self._change(context, entry, host_entry, host, current, update)
            view = self._tracked(context, old, view, managed_fields(wanted), subresource, applied=applied)
            written = await self._commit(context, entry, view, operations, releases=update.action == "release")
            if claims and not context.dry_run:
                await self._withdraw_others(host_entry.name)
            return written

        with context.settling():
            return await self.retrying(name, attempt)

    async def apply(
        self, context: Context, namespace: str, name: str, wanted: dict[str, Any], *, force: bool, subresource: str = ""
    ) -> tuple[Entry, bool]:
        """Apply to an existing view. Only classes offer hosts; clients cannot create views."""
        self._get_for_write(namespace, name)
        return await self._apply(context, namespace, name, wanted, subresource, force=force), False

    async def delete(self, context: Context, namespace: str, name: str, options: DeleteOptions) -> tuple[Entry, bool]:
        """Release the host. An offer is deleted at once, a claimed host's view after the
        release."""

        async def attempt() -> tuple[Entry, bool]:
            entry = self._get_for_write(namespace, name)
            old = entry.object()
            self._check_preconditions(old["metadata"], name, options)
            await self.admit_deletion(context, entry, old)
            host_entry = self.claims.hosts.find("", host_of(old))
            host = host_entry.object() if host_entry is not None else None
            if host_entry is None or host is None or not claimed_by(host, namespace):
                return await self._withdraw(context, entry, old, host_entry), True
            if "deletionTimestamp" in old["metadata"]:
                return entry, False
            return await self._release(context, entry, host_entry, host), False

        return await self.retrying(name, attempt)

    async def _withdraw(self, context: Context, entry: Entry, old: dict[str, Any], host_entry: Entry | None) -> Entry:
        """Delete an offer, also from the Host's list of offers, so that it can be made again."""
        host = host_entry.object() if host_entry is not None else {"spec": {}}
        offers = host["spec"].get("offers") or []
        if host_entry is None or entry.namespace not in offers or "claimRef" in host["spec"] or context.dry_run:
            return await self._remove(context, entry, old)
        host = {**host, "spec": {**host["spec"], "offers": [name for name in offers if name != entry.namespace]}}
        revision = await self.cache.commit([Delete(entry.key, entry.revision), self.claims.hosts.put(host_entry, host)])
        return self.decode(entry.key, encode_stored(self.resource, old), revision)

    def _get_for_write(self, namespace: str, name: str) -> Entry:
        """Return the view.

        Raises NotFound too if another namespace has the host and the offer is about to be
        withdrawn. So neither this answer nor a later one reveals that the host was taken."""
        entry = self.get(namespace, name)
        host = self.claims.hosts.find("", entry.fields[".host"])
        if host is not None and host.fields[".claimNamespace"] not in ("", None, namespace):
            raise not_found(self.resource.group, self.resource.plural, name)
        return entry

    async def _wanted(self, context: Context, entry: Entry, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        """Return the view that the tenant wants, validated and admitted.

        A tenant cannot write status and the system's metadata."""
        given = new.get("metadata")
        meta = metadata.for_update(self.resource, old["metadata"], given if isinstance(given, dict) else {})
        new = normalize(self.resource, {**sharing(old, new), "metadata": meta, "status": old["status"]}, entry.name, old)
        admitted = await self.admission.admit(Attributes("UPDATE", context, self.resource, entry.namespace, entry.name, new, old))
        return admitted or new

    def _tracked(
        self, context: Context, old: dict[str, Any], view: dict[str, Any], sent: Any, subresource: str, *, applied: bool
    ) -> dict[str, Any]:
        """Return the view with its managedFields: the result of an apply, or tracked changes from
        `old`."""
        if applied:
            return settled(old, with_fields(view, sent or []))
        return settled(old, self.tracking.track(context, old, view, sent, subresource, now()))

    def _view_update(
        self, context: Context, old: dict[str, Any], new: dict[str, Any], host: dict[str, Any], current: Entry | None
    ) -> ViewUpdate:
        claimed = claimed_by(host, old["metadata"]["namespace"])
        releasing = claimed and (current is None or "deletionTimestamp" in current.object()["metadata"])
        try:
            update = view_update(old, new, host, claimed=claimed, releasing=releasing, informed=context.informed)
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
        spec = {field: value for field, value in update.changes.items() if value is not None}
        # A BareMetalHost whose image changes is provisioned again.
        spec |= {"className": host["spec"]["className"], "hostRef": {"name": entry.name}, "updatePolicy": "Recreate"}
        meta: dict[str, Any] = {"name": name, "labels": {CLAIMED_THROUGH: "baremetalhost"}}
        if update.action != "claim":
            meta["annotations"] = {ADOPTS: adopted_consumer(host["status"]["held"]["spec"]["consumerRef"])}
        made = await workloads.admit_new(context, entry.namespace, {"metadata": meta, "spec": spec})
        host, made = bound(host, made, update.tenant, namespace_uid)
        if update.action == "give up":
            made = mark_deleted(made, "") or made
        view = self.claims.view_object(host, made, entry.namespace, entry.name)
        return view, [workloads.put(None, made, follows=False), self.claims.hosts.put(host_entry, host)]

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

        It is what the Workload's own registry would store for the same change and deletion."""
        workloads, old = self.claims.workloads, current.object()
        changed = await workloads.admit_change(context, current, old, _with_spec(old, update.changes)) if update.changes else old
        if update.action != "release":
            return changed
        await workloads.admit_deletion(context, current, changed)
        return mark_deleted(held_back(changed), "") or changed

    async def _release(self, context: Context, entry: Entry, host_entry: Entry, host: dict[str, Any]) -> Entry:
        current = self.claims.workload_of_host(host)
        if current is not None:
            await self.claims.workloads.admit_deletion(context, current, current.object())
        marked = mark_deleted(held_back(current.object()), "") if current is not None else None
        view = self.claims.view_object(host, marked, entry.namespace, entry.name)
        # the claim keeps the view, not a finalizer
        view["metadata"] |= deletion_mark(view["metadata"])
        operations: list[Operation] = [self.claims.hosts.put(host_entry, host)]
        if current is not None and marked is not None:
            operations.append(self.claims.workloads.put(current, marked))
        return await self._commit(context, entry, view, operations, releases=True)

    async def _commit(self, context: Context, entry: Entry, view: dict[str, Any], operations: list[Operation], *, releases: bool) -> Entry:
        own = self.put(entry, view, follows=False, releases=releases)
        host_entry = self.claims.hosts.find("", entry.fields[".host"])
        if host_entry is not None:
            name = host_entry.fields[".claimName"]
            self.claims.check_commit(host_entry, entry.namespace, name, [own, *operations], follows=False)
        if context.dry_run:
            return self.decode(own.key, own.value, entry.revision)
        return self.stored(own, await self.cache.commit([own, *operations]))

    async def _withdraw_others(self, host_name: str) -> None:
        """Withdraw the offers to other namespaces, each in its own commit.

        A conflict means that another write came between; the host controller's next report repeats
        this."""
        host_entry = self.claims.hosts.find("", host_name)
        if host_entry is None:
            return
        try:
            await self.claims.show(host_entry)
        except Conflict:
            return

    def _taken(self, name: str) -> ApiError:
        return conflict(self.resource.group, self.resource.plural, name, "the host is claimed already; choose another one")

    def _gone(self, name: str) -> ApiError:
        return conflict(self.resource.group, self.resource.plural, name, "the host is no longer offered; choose another one")


def _claims(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether a write has claimed a free host."""
    return "consumerRef" not in before["spec"] and "consumerRef" in after["spec"]


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
