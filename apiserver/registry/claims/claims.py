"""Change Host, Workload and view together, so that the three stay consistent.

Each commit contains at most one of each kind. The invariant: a claimed Host has exactly one view,
in the claimant's namespace, and the view equals project(host, workload, namespace). A write of the
Host or the Workload adds `view_operations` to its commit. Views of free hosts (offers) follow in
their own commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from apiserver.apis.host import adopted_consumer, dirty_for, is_open_to, reserved_for, uid_of_view, unavailable_reason
from apiserver.apis.hostconditions import HEALTHY
from apiserver.apis.names import ADOPTS, GROUP, RELEASE_FINALIZER, VERSION
from apiserver.apis.workload import HOST_CHOSEN, binding_state
from apiserver.registry.claims import conditions, history
from apiserver.registry.claims import lease as leases
from apiserver.registry.claims.namespaces import Namespaces, NamespaceUids
from apiserver.registry.claims.projection import claimed_by, held_for, project
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.metadata import now
from apiserver.registry.generic.registry import ATTEMPTS, Registry, same
from apiserver.registry.generic.sizelimits import check_together
from storage.base import Check, Conflict, Delete, Operation

AT_ONCE = 32
"""The number of views of one host that are encoded and written together.

The number is small, because nothing else runs meanwhile."""

SERVER = Context(UserInfo("system:apiserver"), field_manager="metal3-workloads")
"""The context of writes that no client requested."""


class Claims:
    """The three registries that a claim involves, and lookups between them."""

    workloads: Registry
    hosts: Registry
    views: Registry

    classes: Registry
    records: Registry
    reservations: Registry

    def __init__(self, namespaces: Namespaces | None = None) -> None:
        """Set the source of `namespaces`. Without it, claims do not record their namespace's
        uid."""
        self.namespaces = NamespaceUids(namespaces)

    def connect(
        self, workloads: Registry, hosts: Registry, views: Registry, classes: Registry, records: Registry, reservations: Registry
    ) -> None:
        """Set the registries. They were created with this object, because both refer to each
        other."""
        self.workloads, self.hosts, self.views, self.classes = workloads, hosts, views, classes
        self.records, self.reservations = records, reservations

    def host_of_workload(self, workload: dict[str, Any]) -> Entry | None:
        """Return the Host that is claimed for exactly this Workload (same uid), or None."""
        meta = workload["metadata"]
        for entry in self.hosts.collection.index("claim", (meta["namespace"], meta["name"])):
            if entry.fields[".claimUID"] == meta["uid"]:
                return entry
        return None

    def workload_of_host(self, host: dict[str, Any]) -> Entry | None:
        """Return the Workload that has the host, or None if it no longer exists."""
        claim = host["spec"].get("claimRef")
        entry = self.workloads.find(claim["namespace"], claim["name"]) if claim else None
        return entry if entry is not None and entry.fields[".uid"] == claim["uid"] else None

    def hosts_without_workload(self, namespace: str) -> list[Entry]:
        """Return the Hosts without a Workload that this namespace keeps from others.

        These hosts were left uncleaned, retained or marked as unhealthy, or their claim's Workload
        is gone."""
        return [entry for entry in self.hosts.collection.index("holder", namespace) if not self._has_workload(entry)]

    def _has_workload(self, host: Entry) -> bool:
        """Return whether the Workload that has or had the host still exists."""
        claim, charge = (".claimNamespace", ".claimName", ".claimUID"), (".chargedTo", ".chargedName", ".chargedUID")
        namespace, name, uid = (host.fields[field] for field in (claim if host.fields[".claimNamespace"] else charge))
        workload = self.workloads.find(namespace, name) if name else None
        return workload is not None and workload.fields[".uid"] == uid

    def views_of_host(self, host_name: str) -> Sequence[Entry]:
        """Return all views that show the host."""
        return self.views.collection.index("host", host_name)

    def view_in(self, host_name: str, namespace: str) -> Entry | None:
        """Return the host's view in one namespace, or None."""
        return next((view for view in self.views_of_host(host_name) if view.namespace == namespace), None)

    def view_name(self, host: dict[str, Any], namespace: str) -> str:
        """Return the name of the host's view in a namespace.

        It is the name of the present view, or the host's own name, with a suffix if that name is
        taken."""
        current = self.view_in(host["metadata"]["name"], namespace)
        if current is not None:
            return current.name
        name: str = host["status"]["report"]["name"]
        if self.views.find(namespace, name) is None:
            return name
        return f"{name[:240]}-{host['metadata']['name'][:8]}"

    def view_object(self, host: dict[str, Any], workload: dict[str, Any] | None, namespace: str, name: str) -> dict[str, Any]:
        """Return the complete view to store, with the system's metadata of the present one."""
        current = self.views.find(namespace, name)
        return _view(host, workload, namespace, name, current.object() if current is not None else None)

    def put_view(self, host: dict[str, Any], workload: dict[str, Any] | None, namespace: str, name: str) -> list[Operation]:
        """Return the operation by which the server stores the view, or none if nothing differs."""
        current = self.views.find(namespace, name)
        old = current.object() if current is not None else None
        view = _view(host, workload, namespace, name, old)
        if old is not None and same(old, view):
            return []
        return [self.views.put(current, self.views.tracking.track(SERVER, old, view, None, "", now()))]

    def view_operations(self, host: dict[str, Any], workload: dict[str, Any] | None) -> list[Operation]:
        """Return the operations that update the claimed view when `host` or `workload` is written.

        Both arguments are the states that are about to be stored."""
        claim = host["spec"].get("claimRef")
        if claim is None or "report" not in (host.get("status") or {}):
            return []
        name = (host["spec"].get("view") or {}).get("name") or self.view_name(host, claim["namespace"])
        return self.put_view(host, workload, claim["namespace"], name)

    def check_commit(self, host: Entry, namespace: str, name: str, operations: Sequence[Operation], *, follows: bool = True) -> None:
        """Raise ApiError (413) if the host, the Workload and the view would be too large together.

        Otherwise they could not be released in one commit. The UsageRecord is not counted, because
        a commit always has room for it."""
        there = (host, self.workloads.find(namespace, name), self.view_in(host.name, namespace))
        operations = [one for one in operations if not one.key.startswith(self.records.resource.prefix)]
        check_together(there, operations, follows=follows)

    async def show_now(self, host_name: str) -> None:
        """Update the views as `show` does, again after a concurrent write.

        A crash may leave it undone: the host controller's next report repeats it."""
        for _ in range(ATTEMPTS):
            entry = self.hosts.find("", host_name)
            if entry is None:
                return
            with suppress(Conflict):
                return await self.show(entry)

    async def show(self, host_entry: Entry) -> None:
        """Update the views of an unclaimed host: one in each namespace that it is offered to, no
        others.

        A view that changes meanwhile is left to the other writer. A claim that happens meanwhile
        wins."""
        claimant = host_entry.fields[".claimNamespace"]
        if claimant and all(view.namespace == claimant for view in self.views_of_host(host_entry.name)):
            return  # the usual case of a report on a host in use
        host = host_entry.object()
        name = host_entry.name
        wanted = set() if host["spec"].get("claimRef") else await self._shown_in(host)
        check = Check(host_entry.key, host_entry.revision)
        for views in _chunks(
            [view for view in self.views_of_host(name) if view.namespace not in wanted and not claimed_by(host, view.namespace)]
        ):
            await self._commit_each([[Delete(view.key, view.revision), check] for view in views])
        for namespaces in _chunks(sorted(wanted)):
            shown = (self.put_view(host, None, namespace, self.view_name(host, namespace)) for namespace in namespaces)
            await self._commit_each([[*operations, check] for operations in shown if operations])

    async def _shown_in(self, host: dict[str, Any]) -> set[str]:
        """Return the namespaces of offered_to, without later namespaces of the same name.

        A view that only one namespace may see is not shown to a later namespace of the same
        name."""
        offered = offered_to(host)
        for name, uid in _exclusive_namespaces(host).items():
            known = await self.namespaces.is_now(name, uid) if name in offered else False
            if known is False or (known is None and self.view_in(host["metadata"]["name"], name) is None):
                offered.discard(name)
        return offered

    async def _commit_each(self, commits: list[list[Operation]]) -> None:
        """Make each commit on its own, but concurrently, so that the store can group them.

        Raises the error of the first commit that failed."""
        done = await asyncio.gather(*(self.cache_commit(operations) for operations in commits), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result

    async def cache_commit(self, operations: list[Operation]) -> int:
        """Commit to the shared store."""
        return await self.hosts.cache.commit(operations)


def _view(host: dict[str, Any], workload: dict[str, Any] | None, namespace: str, name: str, old: dict[str, Any] | None) -> dict[str, Any]:
    """Return the view to store. `old` is the stored view. See Claims.view_object."""
    wanted = project(host, workload, namespace, name)
    if old is None:
        wanted["metadata"] |= {"creationTimestamp": now(), "generation": 1}
        wanted["status"]["conditions"] = conditions.complete(wanted, None, now())
        return wanted
    kept = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "managedFields")
    wanted["metadata"] |= {field: old["metadata"][field] for field in kept if field in old["metadata"]}
    wanted["metadata"]["generation"] = old["metadata"].get("generation", 1) + (old["spec"] != wanted["spec"])
    wanted["status"]["conditions"] = conditions.complete(wanted, old, now())
    return {"apiVersion": old["apiVersion"], "kind": old["kind"], **wanted}


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    """Divide the items into lists of AT_ONCE."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def claim_ref(workload: dict[str, Any], namespace_uid: str) -> dict[str, str]:
    """Return Host.spec.claimRef for a Workload in the namespace with this uid."""
    meta = workload["metadata"]
    claim = {"namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    return {**claim, "namespaceUID": namespace_uid} if namespace_uid else claim


def free_reason(host: dict[str, Any], namespace_uid: str) -> str | None:
    """Return why the namespace with this uid cannot have the host now, or None if it can.

    The text reveals nothing about other tenants."""
    if (reason := unavailable_reason(host)) is not None:
        state = "claimed already" if reason == "Bound" else "not available at the moment"
        return f"the host is {state}; choose another one"
    if not is_open_to(reserved_for(host), namespace_uid):
        return "the host is not available at the moment; choose another one"
    if not is_open_to(dirty_for(host), namespace_uid):
        return "the host has not been cleaned since its last use; choose another one"
    return None


def adopting(host: dict[str, Any], workload: dict[str, Any], namespace_uid: str) -> bool:
    """Return whether the Workload takes over the claim that the host's source knows.

    The claim must be of the Workload's consumer and namespace, or of a Workload of its name that
    the store has lost."""
    held = held_for(host, workload["metadata"]["namespace"])
    if held is None or foreign(held, namespace_uid):
        return False
    wanted = _itself(workload) if held.get("recovered") else (workload["metadata"].get("annotations") or {}).get(ADOPTS)
    return wanted == adopted_consumer(held["spec"]["consumerRef"])


def _itself(workload: dict[str, Any]) -> str:
    """Return the Workload in the form of `adopted_consumer`."""
    reference = {field: workload["metadata"][field] for field in ("namespace", "name")}
    return adopted_consumer({"apiVersion": f"{GROUP}/{VERSION}", "kind": "Workload", **reference})


def foreign(held: dict[str, Any], namespace_uid: str) -> bool:
    """Return whether a claim that the host's source knows belongs to an earlier namespace of the
    name."""
    return (held.get("namespaceUID") or "") != namespace_uid


def _exclusive_namespaces(host: dict[str, Any]) -> dict[str, str]:
    """Return the namespace whose data or claim the unclaimed host holds, or that it is set aside
    for, with its uid.

    Only that namespace may see it."""
    status, aside = host.get("status") or {}, host["spec"].get("reservedFor")
    held, reserved = status.get("held"), dirty_for(host)
    found = {aside["namespace"]: aside["namespaceUID"]} if aside else {}
    found |= {held["namespace"]: held.get("namespaceUID") or ""} if held else {}
    return found if reserved is None else {**found, status["dirtyFor"]: reserved}


def offered_to(host: dict[str, Any]) -> set[str]:
    """Return the namespaces in which an unclaimed host is shown.

    If it holds the data of one namespace, or is set aside for one, only that namespace sees it. A
    claim that the source knows is shown in any case."""
    status = host.get("status") or {}
    if "report" not in status or "deletionTimestamp" in host["metadata"]:
        return set()
    aside = {} if status.get("held") else host["spec"].get("reservedFor") or {}
    owners = {status.get("dirtyFor"), aside.get("namespace")} - {None, ""}
    return {namespace for namespace in host["spec"].get("offers") or () if owners <= {namespace}}


def bound(
    host: dict[str, Any], workload: dict[str, Any], tenant: dict[str, Any], namespace_uid: str, lease: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return Host and Workload in the state after the binding.

    `tenant` is Host.spec.view with the view's name. `namespace_uid` is the uid of the namespace
    that has the name of the Workload's namespace now. `lease` has the class's rules for leases."""
    adopted = adopting(host, workload, namespace_uid)
    namespace, claim = workload["metadata"]["namespace"], claim_ref(workload, namespace_uid)
    claimed = {
        **host,
        "spec": {
            **_uncharged(host["spec"]),
            "claimRef": claim,
            "view": tenant,
            "earlier": _earlier(host, workload, namespace_uid),
        },
        "status": {**host["status"], "phase": "Bound", "history": history.with_claim(host, claim, workload, now())},
    }
    workload = with_release_finalizer(workload)
    chosen = {"name": tenant["name"], "uid": uid_of_view(host["spec"]["source"], namespace), "class": host["spec"]["className"]}
    status = {**(workload.get("status") or {}), "phase": "Bound", "host": chosen, "binding": {"state": "Assumed"}}
    if (made := leases.new_lease(workload["spec"], lease or {}, now(), adopted=adopted)) is not None:
        status["lease"] = made
    status["conditions"] = with_condition(workload, "Bound", "True", HOST_CHOSEN, f"Has the host {tenant['name']}.")
    return claimed, {**workload, "status": status}


def _uncharged(spec: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in spec.items() if field != "chargedTo"}


def with_release_finalizer(workload: dict[str, Any]) -> dict[str, Any]:
    """Return the Workload with the finalizer that keeps it until its host is released.

    Finalizers that are not a list are left to validation."""
    finalizers = workload["metadata"].get("finalizers")
    if finalizers is not None and (not isinstance(finalizers, list) or RELEASE_FINALIZER in finalizers):
        return workload
    return {**workload, "metadata": {**workload["metadata"], "finalizers": [*(finalizers or ()), RELEASE_FINALIZER]}}


def _earlier(host: dict[str, Any], workload: dict[str, Any], namespace_uid: str) -> dict[str, str]:
    """Return Host.spec.earlier: the start of each operation so far, by name.

    For an adopted claim it is empty, because all operations belong to the claim."""
    if adopting(host, workload, namespace_uid):
        return {}
    operations = host["status"]["report"]["status"].get("operationHistory") or {}
    return {name: str((operation or {}).get("start") or "") for name, operation in operations.items()}


def unbound(workload: dict[str, Any]) -> dict[str, Any]:
    """Return the Workload without its host.

    Its phase becomes Lost, unless it is being deleted or rescheduled."""
    before = workload.get("status") or {}
    status = {k: v for k, v in before.items() if k not in ("host", "binding", "lease", "hardware", "addresses", "poweredOn")}
    status |= {"conditions": kept} if (kept := _without_health(before)) else {}
    if "deletionTimestamp" not in workload["metadata"] and binding_state(before) != "Rescheduling":
        message = "the owner of the hardware took the host back: delete this Workload and create it again to get another one"
        taken_back = with_condition({**workload, "status": status}, "Bound", "False", "HostTakenBack", message)
        status |= {"phase": "Lost", "conditions": taken_back}
    return {**workload, "status": status}


def _without_health(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the conditions without Healthy, which describes a host."""
    return [item for item in status.get("conditions") or () if item["type"] != HEALTHY]


def with_condition(obj: dict[str, Any], kind: str, status: str, reason: str, message: str) -> list[dict[str, Any]]:
    """Return the object's conditions with this one set. Its transition time changes only with its
    status."""
    conditions = list((obj.get("status") or {}).get("conditions") or [])
    old = next((c for c in conditions if c["type"] == kind), None)
    since = old["lastTransitionTime"] if old is not None and old["status"] == status else now()
    new = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
    new["observedGeneration"] = obj["metadata"].get("generation", 1)
    return [c for c in conditions if c["type"] != kind] + [new]
