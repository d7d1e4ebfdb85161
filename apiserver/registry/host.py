"""Store Hosts: receive the provider's reports, make offers, and record and clear claims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from apiserver.apis.host import CORDONED, Host, HostOffers, dirty_for, reserved_for
from apiserver.apis.names import CLASS_LABEL
from apiserver.apis.status import cause, conflict, path_not_found
from apiserver.apis.workload import GROUP, VERSION
from apiserver.apis.workloadclass import retain_problem
from apiserver.registry.claims import history, usagerecords
from apiserver.registry.claims.claims import Claims, offered_to, unbound
from apiserver.registry.claims.quotacharges import charge_by_report, charge_of
from apiserver.registry.claims.usagerecords import size
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context, DeleteOptions
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.metadata import is_label, now
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import AGE, READ_WRITE, Column, Resource, lookup
from apiserver.registry.generic.strategy import Admission, Strategy
from apiserver.registry.generic.validation import causes_of, refuse
from apiserver.registry.reservation import reservation_causes
from storage.base import Check, Delete, Operation
from storage.cache import WatchCache


def power(host: dict[str, Any]) -> str | None:
    """Return "on" or "off", or None if it is not known."""
    powered = lookup(host, "status.report.status.poweredOn")
    return None if powered is None else "on" if powered else "off"


def state(host: dict[str, Any]) -> str | None:
    """Return the phase, and whether the host is cordoned, as `kubectl get nodes` does."""
    phase = lookup(host, "status.phase")
    return ",".join(part for part in (phase, CORDONED if lookup(host, "spec.unschedulable") else "") if part) or None


HOSTS = Resource(
    group=GROUP,
    version=VERSION,
    kind="Host",
    plural="hosts",
    model=Host,
    namespaced=False,
    short_names=("mh",),
    columns=(
        Column("Host", "spec.source.name", description="The real host"),
        Column("Class", "spec.className", description="The class that offers it"),
        Column("State", "", value=state, description="Available, Bound or Unavailable, and whether it is cordoned"),
        Column("Tenant", "spec.claimRef.namespace", description="The namespace whose Workload has it"),
        Column("Size", "", value=size, description="CPUs, memory and disk space"),
        Column("Power", "", value=power, description="Whether it is powered on"),
        Column("Reason", "status.reason", description="Why it is not available"),
        AGE,
        Column("Workload", "spec.claimRef.name", priority=1, description="What it runs"),
        Column("Provisioning", "status.report.status.provisioning.state", priority=1, description="State of the real host"),
        Column("Healthy", "status.report.status.conditions.(Healthy).status", priority=1, description="What its BMC says of its health"),
        Column("Message", "status.message", priority=1, description="What its owner can do"),
        Column("Reserved", "spec.reservedFor.namespace", priority=1, description="The namespace that a Reservation keeps it for"),
        Column("Charged", "spec.chargedTo.namespace", priority=1, description="Whose quota counts it although no Workload has it"),
    ),
    fields={
        path: path
        for path in ("spec.className", "spec.source.name", "spec.claimRef.namespace", "spec.claimRef.name", "status.phase", "status.reason")
    },
    indexed={
        ".claimNamespace": "spec.claimRef.namespace",
        ".claimName": "spec.claimRef.name",
        ".claimUID": "spec.claimRef.uid",
        ".name": "status.report.name",
        ".chargedTo": "spec.chargedTo.namespace",
        ".chargedName": "spec.chargedTo.name",
        ".chargedUID": "spec.chargedTo.uid",
        ".cpu": "status.report.status.hardware.cpu.count",
        ".ram": "status.report.status.hardware.ramMebibytes",
        ".poweredOn": "status.report.status.poweredOn",
    },
    subresources={"status": READ_WRITE, "offers": frozenset({"update"})},
)


KEPT = ("view", "offers", "earlier")
"""The spec fields that only the server writes."""


class HostStrategy(Strategy):
    """The rules of Hosts. Only a binding sets claimRef; the owner frees a host by clearing it."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims

    def prepare_create(self, context: Context, new: dict[str, Any]) -> dict[str, Any]:
        """Return a new host without claim, charge, offers and Reservation."""
        spec = new.get("spec")
        if isinstance(spec, dict):
            new["spec"] = {k: v for k, v in spec.items() if k not in ("claimRef", "chargedTo", "reservedFor", *KEPT)}
        new.pop("status", None)
        return new

    def prepare_update(self, context: Context, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Keep the server's fields, and update the fields that depend on a cleared claim."""
        new = _with_history(super().prepare_update(context, old, new, subresource), (old.get("status") or {}).get("history"))
        spec = new.get("spec")
        if isinstance(spec, dict):
            kept = {field: old["spec"][field] for field in KEPT if field in old["spec"]}
            spec = {k: v for k, v in spec.items() if k not in KEPT} | kept
            new["spec"] = spec if spec.get("claimRef") else {k: v for k, v in spec.items() if k not in ("claimRef", "view", "earlier")}
        if isinstance(new.get("status"), dict):
            claimed = isinstance(spec, dict) and spec.get("claimRef") is not None
            free = new["status"].get("available") and not (isinstance(spec, dict) and spec.get("unschedulable"))
            new["status"] = {**new["status"], "phase": "Bound" if claimed else "Available" if free else "Unavailable"}
        return self._charged(old, new, subresource)

    def fill(self, old: dict[str, Any] | None, new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Continue the history of the host's claims, and label the Host as its report says.

        No client owns the history or these labels."""
        new = _labelled(old, new)
        if old is None or not (old["spec"].get("claimRef") or subresource == "status"):
            return new
        entry = self.claims.workload_of_host(old)
        workload = entry.object() if entry is not None else None
        how = history.outcome(workload, may_retain=self._may_retain(old, workload))
        return _with_history(new, history.updated_history(old, new, workload, how, now()))

    def _may_retain(self, host: dict[str, Any], workload: dict[str, Any] | None) -> bool:
        """Return whether the class allows the Workload's reclaimPolicy."""
        class_ = self.claims.classes.find("", host["spec"]["className"])
        return workload is not None and (class_ is None or retain_problem(workload["spec"], class_.object()["spec"]) is None)

    def _charged(self, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Return the Host with spec.chargedTo as it follows from its claim and report.

        A writer may remove it, but not change it."""
        spec = new.get("spec")
        if not isinstance(spec, dict):
            return new
        charge = old["spec"].get("chargedTo") if spec.get("chargedTo") is not None else None
        if "claimRef" not in spec and "claimRef" in old["spec"]:
            workload = self.claims.workload_of_host(old)
            charge = charge_of(old, workload.object() if workload is not None else None)
        elif "claimRef" not in spec and subresource == "status" and isinstance(new.get("status"), dict):
            charge = charge_by_report(charge, new["status"])
        spec = {k: v for k, v in spec.items() if k != "chargedTo"}
        return {**new, "spec": {**spec, "chargedTo": charge} if charge is not None else spec}

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        """Allow claimRef to be set only by binding, and reservedFor only for a Reservation that may
        have the host. Keep the host's identity."""
        current = self.claims.workload_of_host(new)
        workload = current.object() if current is not None and new["spec"].get("reservedFor") else None
        causes = reservation_causes(self.claims.reservations, old, new, workload)
        if old is not None:
            if new["spec"].get("claimRef") not in (None, old["spec"].get("claimRef")):
                message = "Forbidden: POST to the binding of a Workload to claim; here a claim can only be cleared"
                causes.append(cause("FieldValueForbidden", message, "spec.claimRef"))
            if new["spec"]["source"]["uid"] != old["spec"]["source"]["uid"]:
                causes.append(cause("FieldValueInvalid", "Invalid value: field is immutable", "spec.source.uid"))
        return causes

    async def operations(
        self, context: Context, entry: Entry | None, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Operation]]:
        """Update the claimant's view, and the record of use. A cleared claim removes the view and
        updates the Workload."""
        others = self._claimed_view(new) if "claimRef" in new["spec"] else self._unclaim(old, new) if old is not None else []
        used = old is not None and usagerecords.holder_fields(old) != usagerecords.holder_fields(new)
        return new, [*others, *usagerecords.operations(self.claims.records, new)] if used else others

    def operations_of_removal(self, entry: Entry, last: dict[str, Any]) -> list[Operation]:
        """Remove the view and update the Workload and the record of use, as for a cleared claim."""
        return [*self._unclaim(last, None), *usagerecords.operations(self.claims.records, usagerecords.without_holder(last))]

    def _claimed_view(self, host: dict[str, Any]) -> list[Operation]:
        workload = self.claims.workload_of_host(host)
        claim = host["spec"]["claimRef"]
        key = self.claims.workloads.resource.key(claim["namespace"], claim["name"])
        known = self.claims.workloads.collection.get(key)
        check = Check(key, known.revision if known else 0)
        # Checked even if the view stays the same: a concurrent write of the Workload could change
        # it.
        return [*self.claims.view_operations(host, workload.object() if workload else None), check]

    def _unclaim(self, old: dict[str, Any], new: dict[str, Any] | None) -> list[Operation]:
        if "claimRef" not in old["spec"]:
            return []
        operations = self._unclaimed_view(old, new)
        workload = self.claims.workload_of_host(old)
        if workload is not None:
            operations.append(self.claims.workloads.put(workload, unbound(workload.object())))
        return operations

    def check_commit(self, old: dict[str, Any] | None, new: dict[str, Any], operations: Sequence[Operation], *, follows: bool) -> None:
        """Check the size of the Host with its Workload and view.

        Only the owner and the controllers write Hosts. So a tenant that leaves no room cannot keep
        them from it."""
        host, claim = self.claims.hosts.find("", new["metadata"]["name"]), new["spec"].get("claimRef")
        if host is not None and claim is not None:
            self.claims.check_commit(host, claim["namespace"], claim["name"], operations, follows=True)

    def _unclaimed_view(self, old: dict[str, Any], new: dict[str, Any] | None) -> list[Operation]:
        """Return operations on the former claimant's view.

        The view becomes an offer if the host is offered to that namespace. Otherwise, or if it was
        being deleted, it is deleted. The view of a host that is reserved for one namespace is
        always deleted: `show`, which knows uids, creates it again if appropriate."""
        view = self.claims.view_in(old["metadata"]["name"], old["spec"]["claimRef"]["namespace"])
        if view is None:
            return []
        shown = new is not None and dirty_for(new) is None and reserved_for(new) is None
        offered = offered_to(new) if new is not None and shown else ()
        if new is None or view.namespace not in offered or "deletionTimestamp" in view.object()["metadata"]:
            return [Delete(view.key, view.revision)]
        return self.claims.put_view(new, None, view.namespace, view.name)

    async def after_commit(self, context: Context, old: dict[str, Any] | None, new: dict[str, Any]) -> None:
        """Refresh the offers."""
        await self.claims.show_now(new["metadata"]["name"])


def _labelled(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """Return the Host with the labels of its report and of its class. Other labels stay.

    A label that was reported before, but no longer is, is removed."""
    labels = new["metadata"].get("labels") or {}
    before, after = (_reported_labels(host) if host is not None else {} for host in (old, new))
    wanted = {key: value for key, value in labels.items() if key in after or before.get(key) != value} | after
    return new if wanted == labels else {**new, "metadata": {**new["metadata"], "labels": wanted}}


def _reported_labels(host: dict[str, Any]) -> dict[str, str]:
    """Return the labels that follow from the Host's report, as far as they can be labels, and from
    its class."""
    class_name = host["spec"]["className"]
    reported = lookup(host, "status.report.labels") or {}
    found = {key: value for key, value in reported.items() if is_label(key, value)}
    return {**found, CLASS_LABEL: class_name} if is_label(CLASS_LABEL, class_name) else found


def _with_history(host: dict[str, Any], claims: list[dict[str, Any]] | None) -> dict[str, Any]:
    """Return the Host with this history in place of the one that its writer sent."""
    status = {} if host.get("status") is None else host["status"]
    if not isinstance(status, dict) or status.get("history") == (claims or None):
        return host
    status = {field: value for field, value in status.items() if field != "history"}
    return {**host, "status": {**status, "history": claims} if claims else status}


class HostRegistry(Registry):
    """The generic registry with offers, and a deletion that protects claimed hosts."""

    def __init__(self, cache: WatchCache, claims: Claims, admission: Admission | None = None) -> None:
        indexers = {
            "claim": lambda e: [(e.fields[".claimNamespace"], e.fields[".claimName"])] if e.fields[".claimName"] else [],
            "name": lambda e: [e.fields[".name"]] if e.fields[".name"] else [],
            "holder": lambda e: [holder] if (holder := e.fields[".claimNamespace"] or e.fields[".chargedTo"]) else [],
        }
        super().__init__(HOSTS, cache, strategy=HostStrategy(claims), admission=admission, indexers=indexers)
        self.claims = claims

    async def delete(self, context: Context, namespace: str, name: str, options: DeleteOptions) -> tuple[Entry, bool]:
        """Delete a host after its offers. A claimed host is refused: clear spec.claimRef first."""

        async def withdraw() -> None:
            entry = self.get(namespace, name)
            claim = entry.object()["spec"].get("claimRef")
            if claim:
                holder = f"{claim['namespace']}/{claim['name']}"
                why = f"workload {holder} has it: to keep its disks, clear spec.claimRef first; deleting that wipes them"
                raise conflict(GROUP, "hosts", name, why)
            if not context.dry_run:
                for view in self.claims.views_of_host(name):
                    await self.cache.commit([Delete(view.key, view.revision), Check(entry.key, entry.revision)])

        await self.retrying(name, withdraw)
        return await super().delete(context, namespace, name, options)

    async def connect(self, context: Context, namespace: str, name: str, subresource: str, body: dict[str, Any]) -> dict[str, Any]:
        """Execute PUT offers."""
        if subresource != "offers":
            raise path_not_found()
        wanted = self._wanted(name, body)
        before = offers_object(self.get("", name).object())
        after = {**before, "namespaces": wanted}
        admitted = await self.admission.admit(Attributes("UPDATE", context, self.resource, "", name, after, before, subresource))
        if admitted is not None and admitted is not after:
            wanted = self._wanted(name, admitted)

        async def attempt() -> dict[str, Any]:
            entry = self.get("", name)
            host = entry.object()
            if "claimRef" in host["spec"] or context.dry_run:
                return offers_object(host)
            if (host["spec"].get("offers") or []) != wanted:
                host["spec"]["offers"] = wanted
                await self.cache.commit([self.put(entry, host)])
                entry = self.get("", name)
            await self.claims.show(entry)
            return offers_object(host)

        return await self.retrying(name, attempt)

    def _wanted(self, name: str, body: dict[str, Any]) -> list[str]:
        try:
            return sorted(set(HostOffers.decode(body).namespaces))
        except ValidationError as error:
            raise refuse(self.resource, name, causes_of(error)) from None


def offers_object(host: dict[str, Any]) -> dict[str, Any]:
    """Return the answer of PUT offers."""
    name, namespaces = host["metadata"]["name"], host["spec"].get("offers") or []
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "HostOffers", "metadata": {"name": name}, "namespaces": namespaces}
