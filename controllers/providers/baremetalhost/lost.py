"""Decide which hosts are given back to their lost Workloads, and build the Workloads to create."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.client.objects import Object, labels_of, name_of, uid_of
from controllers import kinds
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.record import read_record
from controllers.providers.baremetalhost.report import consumer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controllers.providers.baremetalhost.identity import Identity

__all__ = ["is_lost", "lost_key", "marking_patch", "obstacle", "successor"]


_FREE = (
    "when nothing on the real host is needed any more, clear its spec.image, spec.customDeploy and spec.consumerRef, which wipes it and "
    "offers it again"
)


def is_lost(bmh: Object, host: Object | None, identity: Identity) -> bool:
    """Return whether a Workload of this management cluster has the real host without the store
    knowing it."""
    consumer = consumer_of(bmh, identity)
    if consumer is None or not consumer.workload_uid:
        return False
    claim = (host["spec"].get("claimRef") if host is not None else None) or {}
    return claim.get("uid") != consumer.workload_uid


def lost_key(bmh: Object) -> tuple[str, str]:
    """Return the namespace and the name of the lost Workload."""
    reference = bmh["spec"]["consumerRef"]
    return str(reference.get("namespace") or ""), str(reference.get("name") or "")


def obstacle(bmh: Object, host: Object | None, workload: Object | None, namespaces: Mapping[str, Object]) -> str | None:
    """Return why the host is not given back, and what to do; None if it can be given back.

    `workload` is the one of that name in the store."""
    namespace, name = lost_key(bmh)
    if host is None:
        return "the controllers have not reported it: create its class again, and wait for the class's condition Connected"
    if claim := host["spec"].get("claimRef"):
        claimant = f"{claim['namespace']}/{claim['name']}"
        return (
            f"workload {claimant} has claimed the Host {name_of(host)} since: if the lost Workload shall have it, clear the Host's "
            f"spec.claimRef, which makes {claimant} Lost, and run this again"
        )
    recorded = read_record(bmh).namespace_uid
    if namespace not in namespaces and not recorded:
        return f"the namespace {namespace} does not exist: create it and run this again, or {_FREE}"
    if namespace not in namespaces or (recorded and recorded != uid_of(namespaces[namespace])):
        return f"the namespace {namespace} that had the host was deleted, and a later one of its name gets nothing of it: {_FREE}"
    has = ((workload or {}).get("status") or {}).get("host")
    if has:
        return (
            f"workload {namespace}/{name} has another host since ({has['name']}): keep that one, and {_FREE}; or save what runs on it, "
            "delete the Workload, which wipes that host, and run this again"
        )
    return None


def marking_patch(bmh: Object) -> Object:
    """Return the merge patch of the real host that lets a successor of its Workload take it
    over."""
    metadata = {"resourceVersion": bmh["metadata"]["resourceVersion"], "uid": uid_of(bmh)}
    return {"metadata": {**metadata, "annotations": {names.RECOVER: labels_of(bmh)[names.WORKLOAD_UID]}}}


def successor(bmh: Object, class_name: str) -> Object:
    """Return the Workload to create in place of the lost one."""
    namespace, name = lost_key(bmh)
    record = read_record(bmh)
    metadata = {"name": name, "namespace": namespace, **({"labels": record.labels} if record.labels else {})}
    spec = {"className": class_name, **record.spec}
    return {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "metadata": metadata, "spec": spec}
