"""Host, Workload and view change together: the operations that keep the three consistent, each commit at most one of a kind.

The invariant: a claimed Host has exactly one view, in the claimant's namespace, and it equals
project(host, workload, namespace). Whoever writes the Host or the Workload adds `view_operations` to the commit. Views of
free hosts (offers) follow in commits of their own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from apiserver.apis.host import ADOPTS, adopted_consumer, reserved_for, uid_of_view
from apiserver.apis.names import RELEASE_FINALIZER
from apiserver.apis.workload import HOST_CHOSEN
from apiserver.registry.claims.namespaces import NamespaceUids
from apiserver.registry.claims.projection import claimed_by, held_for, project
from apiserver.registry.generic.bounds import check_together
from apiserver.registry.generic.context import Context, UserInfo
from apiserver.registry.generic.registry import Registry, now, same
from storage.base import Check, Delete

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from apiserver.registry.claims.namespaces import Namespaces
    from apiserver.registry.generic.entry import Entry
    from storage.base import Operation

__all__ = [
    "RELEASE_FINALIZER",
    "Claims",
    "adopting",
    "bound",
    "claim_ref",
    "foreign",
    "free_reason",
    "held_back",
    "offered_to",
    "unbound",
    "with_condition",
]


AT_ONCE = 32
"""Views of one host that are encoded and written together: no more, for nothing else happens meanwhile."""

SERVER = Context(UserInfo("system:apiserver"), field_manager="metal3-workloads")
"""Who writes what no client asked for."""


class Claims:
    """The three registries that a claim touches, and lookups between them."""

    workloads: Registry
    hosts: Registry
    views: Registry

    classes: Registry

    def __init__(self, namespaces: Namespaces | None = None) -> None:
        """`namespaces`: where namespaces are; without it no claim records whose it is by uid."""
        self.namespaces = NamespaceUids(namespaces)

    def connect(self, workloads: Registry, hosts: Registry, views: Registry, classes: Registry) -> None:
        """Give it the registries, which were made with it: they refer to each other."""
        self.workloads, self.hosts, self.views, self.classes = workloads, hosts, views, classes

    def host_of_workload(self, workload: dict[str, Any]) -> Entry | None:
        """The Host that is claimed for this very Workload (same uid)."""
        meta = workload["metadata"]
        for entry in self.hosts.collection.index("claim", (meta["namespace"], meta["name"])):
            if entry.fields[".claimUID"] == meta["uid"]:
                return entry
        return None

    def workload_of_host(self, host: dict[str, Any]) -> Entry | None:
        """The Workload that has the host, if it still exists."""
        claim = host["spec"].get("claimRef")
        entry = self.workloads.find(claim["namespace"], claim["name"]) if claim else None
        return entry if entry is not None and entry.fields[".uid"] == claim["uid"] else None

    def outliving(self, namespace: str) -> list[Entry]:
        """The Hosts that nobody else can have because of this namespace, and that none of its Workloads stands for: left uncleaned,
        retained, marked as unhealthy, or claimed by a Workload that is gone."""
        return [entry for entry in self.hosts.collection.index("holder", namespace) if not self._stood_for(entry)]

    def _stood_for(self, host: Entry) -> bool:
        """Whether the Workload that has, or had, the host still exists."""
        claim, charge = (".claimNamespace", ".claimName", ".claimUID"), (".chargedTo", ".chargedName", ".chargedUID")
        namespace, name, uid = (host.fields[field] for field in (claim if host.fields[".claimNamespace"] else charge))
        workload = self.workloads.find(namespace, name) if name else None
        return workload is not None and workload.fields[".uid"] == uid

    def views_of_host(self, host_name: str) -> list[Entry]:
        """All views that show the host."""
        return self.views.collection.index("host", host_name)

    def view_in(self, host_name: str, namespace: str) -> Entry | None:
        """The host's view in one namespace."""
        return next((view for view in self.views_of_host(host_name) if view.namespace == namespace), None)

    def view_name(self, host: dict[str, Any], namespace: str) -> str:
        """The name of the host's view in a namespace: the one it has; else the host's own, with a suffix where that is taken."""
        current = self.view_in(host["metadata"]["name"], namespace)
        if current is not None:
            return current.name
        name: str = host["status"]["report"]["name"]
        if self.views.find(namespace, name) is None:
            return name
        return f"{name[:240]}-{host['metadata']['name'][:8]}"

    def view_object(self, host: dict[str, Any], workload: dict[str, Any] | None, namespace: str, name: str) -> dict[str, Any]:
        """The whole view as it is to be stored, with the system's metadata carried on from the current one."""
        current = self.views.find(namespace, name)
        return _view(host, workload, namespace, name, current.object() if current is not None else None)

    def put_view(self, host: dict[str, Any], workload: dict[str, Any] | None, namespace: str, name: str) -> list[Operation]:
        """The operation that stores the view on the server's own account; none when nothing differs."""
        current = self.views.find(namespace, name)
        old = current.object() if current is not None else None
        view = _view(host, workload, namespace, name, old)
        if old is not None and same(old, view):
            return []
        return [self.views.put(current, self.views.tracking.track(SERVER, old, view, None, "", now()))]

    def view_operations(self, host: dict[str, Any], workload: dict[str, Any] | None) -> list[Operation]:
        """What keeps the claimed view right when `host` or `workload` (as they are about to be) are written."""
        claim = host["spec"].get("claimRef")
        if claim is None or "report" not in (host.get("status") or {}):
            return []
        name = (host["spec"].get("view") or {}).get("name") or self.view_name(host, claim["namespace"])
        return self.put_view(host, workload, claim["namespace"], name)

    def check_commit(self, host: Entry, namespace: str, name: str, operations: Sequence[Operation], *, follows: bool = True) -> None:
        """Raises ApiError (413) when the host, the Workload of this name and the view would be so large that they could not be released
        in one commit."""
        there = (host, self.workloads.find(namespace, name), self.view_in(host.name, namespace))
        check_together(there, operations, follows=follows)

    async def show(self, host_entry: Entry) -> None:
        """Bring the views of an unclaimed host up to date: in the namespaces it is offered to, and nowhere else. A view that
        somebody changes meanwhile is left to them; who claims the host meanwhile wins."""
        claimant = host_entry.fields[".claimNamespace"]
        if claimant and all(view.namespace == claimant for view in self.views_of_host(host_entry.name)):
            return  # as it is with nearly every report on a host in use
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
        """See offered_to. What one namespace alone may see is not shown to a later one of its name."""
        offered = offered_to(host)
        for name, uid in _one_namespaces(host).items():
            known = await self.namespaces.is_now(name, uid) if name in offered else False
            if known is False or (known is None and self.view_in(host["metadata"]["name"], name) is None):
                offered.discard(name)
        return offered

    async def _commit_each(self, commits: list[list[Operation]]) -> None:
        """Each for itself, but together, so that the store can write them in one go. Raises what the first that failed raised."""
        done = await asyncio.gather(*(self.cache_commit(operations) for operations in commits), return_exceptions=True)
        for result in done:
            if isinstance(result, BaseException):
                raise result

    async def cache_commit(self, operations: list[Operation]) -> int:
        """Commit on the shared store."""
        return await self.hosts.cache.commit(operations)


def _view(host: dict[str, Any], workload: dict[str, Any] | None, namespace: str, name: str, old: dict[str, Any] | None) -> dict[str, Any]:
    """See Claims.view_object. `old`: the view as it is stored."""
    wanted = project(host, workload, namespace, name)
    if old is None:
        wanted["metadata"] |= {"creationTimestamp": now(), "generation": 1}
        return wanted
    kept = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion", "managedFields")
    wanted["metadata"] |= {field: old["metadata"][field] for field in kept if field in old["metadata"]}
    wanted["metadata"]["generation"] = old["metadata"].get("generation", 1) + (old["spec"] != wanted["spec"])
    return {"apiVersion": old["apiVersion"], "kind": old["kind"], **wanted}


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    """The items, AT_ONCE at a time."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def claim_ref(workload: dict[str, Any], namespace_uid: str) -> dict[str, str]:
    """Host.spec.claimRef for a Workload of the namespace with this uid."""
    meta = workload["metadata"]
    claim = {"namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    return {**claim, "namespaceUID": namespace_uid} if namespace_uid else claim


def free_reason(host: dict[str, Any], namespace_uid: str) -> str | None:
    """Why the namespace with this uid cannot have the host now; None when it can. Nothing in it is about other tenants."""
    status = host.get("status") or {}
    if host["spec"].get("claimRef"):
        return "the host is claimed already; choose another one"
    if "deletionTimestamp" in host["metadata"] or not status.get("available") or "report" not in status:
        return "the host is not available at the moment; choose another one"
    if (reserved := reserved_for(host)) is not None and (not reserved or reserved != namespace_uid):
        return "the host has not been cleaned since its last use; choose another one"
    return None


def adopting(host: dict[str, Any], workload: dict[str, Any], namespace_uid: str) -> bool:
    """Whether the Workload is meant to take over the claim that the host's source knows, of just this consumer and namespace."""
    held = held_for(host, workload["metadata"]["namespace"])
    wanted = (workload["metadata"].get("annotations") or {}).get(ADOPTS)
    return held is not None and wanted == adopted_consumer(held["spec"]["consumerRef"]) and not foreign(held, namespace_uid)


def foreign(held: dict[str, Any], namespace_uid: str) -> bool:
    """Whether a claim that the host's source knows is not of the namespace with this uid, but of an earlier one of its name."""
    return (held.get("namespaceUID") or "") != namespace_uid


def _one_namespaces(host: dict[str, Any]) -> dict[str, str]:
    """The namespace whose data, or whose claim at its source, the unclaimed host holds, with its uid: nobody else is to see that."""
    status = host.get("status") or {}
    held, reserved = status.get("held"), reserved_for(host)
    found = {held["namespace"]: held.get("namespaceUID") or ""} if held else {}
    return found if reserved is None else {**found, status["dirtyFor"]: reserved}


def offered_to(host: dict[str, Any]) -> set[str]:
    """The namespaces in which an unclaimed host is to be seen: of those it is offered to, the one whose data it holds, if any."""
    status = host.get("status") or {}
    if "report" not in status or "deletionTimestamp" in host["metadata"]:
        return set()
    return {namespace for namespace in host["spec"].get("offers") or () if status.get("dirtyFor") in (None, "", namespace)}


def bound(
    host: dict[str, Any], workload: dict[str, Any], tenant: dict[str, Any], namespace_uid: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Host and Workload as they are once the Workload has the host. `tenant`: Host.spec.view, with the view's name. `namespace_uid`: of
    the namespace that has the Workload's namespace's name now."""
    namespace = workload["metadata"]["namespace"]
    claimed = {
        **host,
        "spec": {
            **_uncharged(host["spec"]),
            "claimRef": claim_ref(workload, namespace_uid),
            "view": tenant,
            "earlier": _earlier(host, workload, namespace_uid),
        },
        "status": {**host["status"], "phase": "Bound"},
    }
    workload = held_back(workload)
    chosen = {"name": tenant["name"], "uid": uid_of_view(host["spec"]["source"], namespace), "class": host["spec"]["className"]}
    status = {**(workload.get("status") or {}), "phase": "Bound", "host": chosen}
    status["conditions"] = with_condition(workload, "Bound", "True", HOST_CHOSEN, f"Has the host {tenant['name']}.")
    return claimed, {**workload, "status": status}


def _uncharged(spec: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in spec.items() if field != "chargedTo"}


def held_back(workload: dict[str, Any]) -> dict[str, Any]:
    """The Workload with the finalizer that keeps it until its host is released. Finalizers that are no list are left to validation."""
    finalizers = workload["metadata"].get("finalizers")
    if finalizers is not None and (not isinstance(finalizers, list) or RELEASE_FINALIZER in finalizers):
        return workload
    return {**workload, "metadata": {**workload["metadata"], "finalizers": [*(finalizers or ()), RELEASE_FINALIZER]}}


def _earlier(host: dict[str, Any], workload: dict[str, Any], namespace_uid: str) -> dict[str, str]:
    """Host.spec.earlier: the starts of the operations so far, by name. Of a claim that goes on here all operations are its own."""
    if adopting(host, workload, namespace_uid):
        return {}
    history = host["status"]["report"]["status"].get("operationHistory") or {}
    return {name: str((operation or {}).get("start") or "") for name, operation in history.items()}


def unbound(workload: dict[str, Any]) -> dict[str, Any]:
    """Clear the Workload's host. Its phase becomes Lost, unless it is being deleted or rescheduled (phase Pending with status.host set)."""
    status = {k: v for k, v in (workload.get("status") or {}).items() if k not in ("host", "hardware", "addresses", "poweredOn")}
    if "deletionTimestamp" not in workload["metadata"] and status.get("phase") != "Pending":
        message = "the owner of the hardware took the host back: delete this Workload and create it again to get another one"
        status |= {"phase": "Lost", "conditions": with_condition(workload, "Bound", "False", "HostTakenBack", message)}
    return {**workload, "status": status}


def with_condition(obj: dict[str, Any], kind: str, status: str, reason: str, message: str) -> list[dict[str, Any]]:
    """The object's conditions with this one set; its transition time is new only if its status is."""
    conditions = list((obj.get("status") or {}).get("conditions") or [])
    old = next((c for c in conditions if c["type"] == kind), None)
    since = old["lastTransitionTime"] if old is not None and old["status"] == status else now()
    new = {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
    new["observedGeneration"] = obj["metadata"].get("generation", 1)
    return [c for c in conditions if c["type"] != kind] + [new]
