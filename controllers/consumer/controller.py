"""Report claims whose consumer is gone, and leave them unchanged.

CAPM3 sets a host's consumerRef before it puts its finalizer on the Metal3Machine. A Metal3Machine
that is deleted in between disappears, and its claim stays. It may also have been moved to another
cluster together with the host, so nothing is released here. An administrator can delete the view of
a host that is known to be unused.
"""

from __future__ import annotations

from dataclasses import dataclass

from apiserver.apis.workload import host_of
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, Resource, deleting, key_of, labels_of, namespace_of
from controllers import kinds
from controllers.cluster import Cluster, with_conditions
from controllers.runtime.conditions import condition, find_condition
from controllers.runtime.controller import Controller, Result, tenant_of

CONSUMER_FOUND = "ConsumerFound"


@dataclass(frozen=True)
class Waits:
    """The seconds until a new claim's consumer is looked up, and looked up again while it exists or
    not.

    The first wait gives a consumer that is just being created the time to appear."""

    first: float = 60.0
    again: float = 300.0
    while_gone: float = 60.0


class ConsumerController:
    """Reconciles, by key, Workloads that were created by a claim through the view."""

    def __init__(self, cluster: Cluster, waits: Waits, *, workers: int = 2) -> None:
        self._cluster, self._waits = cluster, waits
        self.controller = Controller("consumer", self.reconcile, workers=workers, flow=tenant_of)
        cluster.workloads.add_handler(self._workload_changed)

    async def run(self) -> None:
        await self.controller.run()

    def _workload_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            return
        if consumer_resource(new) is None:
            if _consumer_found(new) is not None:
                self.controller.queue.add(key_of(new))
        elif old is None or old["spec"].get("consumerRef") != new["spec"].get("consumerRef"):
            self.controller.queue.add_after(key_of(new), self._waits.first)

    async def reconcile(self, key: str) -> Result | None:
        """Look the consumer up, and report the result."""
        workload = self._cluster.workloads.store.get(key)
        if workload is None or deleting(workload):
            return None
        if (resource := consumer_resource(workload)) is None:
            kept = [item for item in (workload.get("status") or {}).get("conditions") or () if item["type"] != CONSUMER_FOUND]
            if _consumer_found(workload) is not None:
                await self._cluster.patch_status(kinds.WORKLOADS, workload, {"conditions": kept})
            return None
        there = await self._is_there(resource, workload)
        if there is None:
            return Result(requeue_after=self._waits.again)
        wanted = _condition(workload, self._cluster.view_group, there=there)
        before = _consumer_found(workload)
        await self._cluster.patch_status(kinds.WORKLOADS, workload, {"conditions": with_conditions(workload, [wanted])})
        if not there and (before is None or before["status"] == "True"):
            self._cluster.events.event(workload, "Warning", wanted["reason"], wanted["message"])
        return Result(requeue_after=self._waits.again if there else self._waits.while_gone)

    async def _is_there(self, resource: Resource, workload: Object) -> bool | None:
        """Return whether the consumer exists, or None if that cannot be known here."""
        reference = workload["spec"]["consumerRef"]
        try:
            await self._cluster.client.get(resource, reference["name"], namespace_of(workload))
        except ApiException as error:
            if error.forbidden:
                return None
            if error.not_found:
                # Only an answer about this object counts: a kind that is not served here belongs to
                # another cluster.
                return False if error.details.get("name") == reference["name"] else None
            raise
        return True


def consumer_resource(workload: Object) -> Resource | None:
    """Return the resource of the consumer, or None.

    The consumer must be of this cluster and in the claim's namespace."""
    reference = workload["spec"].get("consumerRef")
    if not reference or kinds.CLAIMED_THROUGH not in labels_of(workload):
        return None
    group, _, version = (reference.get("apiVersion") or "").partition("/")
    kind = reference.get("kind") or ""
    if not (group and version and kind and reference.get("name")) or group == kinds.GROUP:
        return None  # a Workload of another cluster, which has the host through a relay
    if "/" in version or not kind.isalnum():
        return None  # no cluster has such a kind
    if reference.get("namespace") not in (None, "", namespace_of(workload)):
        return None  # this namespace's tenant must not learn about objects in other namespaces
    return Resource(group, version, _plural(kind.lower()), kind)


def consumer_gone(workload: Object | None) -> str:
    """Return the Workload's message about a consumer that is gone, "" if there is none."""
    found = _consumer_found(workload or {})
    return str(found["message"]) if found is not None and found["status"] == "False" else ""


def _consumer_found(workload: Object) -> Object | None:
    return find_condition((workload.get("status") or {}).get("conditions"), CONSUMER_FOUND)


def _plural(kind: str) -> str:
    """Return the plural as Kubernetes guesses it (meta.UnsafeGuessKindToResource)."""
    if kind.endswith("s"):
        return f"{kind}es"
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _condition(workload: Object, view_group: str, *, there: bool) -> Object:
    reference, generation = workload["spec"]["consumerRef"], workload["metadata"].get("generation")
    who = f"{reference['kind']} {namespace_of(workload)}/{reference['name']}"
    if there:
        return condition(CONSUMER_FOUND, True, "Found", f"{who} exists", generation=generation)
    host = host_of(workload).get("name") or "NAME"
    message = (
        f"{who}, which has the host, does not exist: if it was moved to another cluster, leave this as it is; otherwise release the host, "
        f"which wipes it, with `kubectl delete baremetalhosts.{view_group} {host} -n {namespace_of(workload)}`"
    )
    return condition(CONSUMER_FOUND, False, "ConsumerGone", message, generation=generation)
