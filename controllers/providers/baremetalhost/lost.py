"""Decide which hosts can be given back, and as what their Workloads are created again. Pure."""

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


def is_lost(bmh: Object, host: Object | None, identity: Identity) -> bool:
    """Return whether a Workload of this management cluster has the real host, and the store does not know that."""
    consumer = consumer_of(bmh, identity)
    if consumer is None or not consumer.workload_uid:
        return False
    claim = (host["spec"].get("claimRef") if host is not None else None) or {}
    return claim.get("uid") != consumer.workload_uid


def lost_key(bmh: Object) -> tuple[str, str]:
    """Return namespace and name of the lost Workload."""
    reference = bmh["spec"]["consumerRef"]
    return str(reference.get("namespace") or ""), str(reference.get("name") or "")


def obstacle(bmh: Object, host: Object | None, workload: Object | None, namespaces: Mapping[str, Object]) -> str | None:
    """Return why the host is not given back, and what to do; None if it can be. `workload`: the one of that name in the store."""
    namespace, name = lost_key(bmh)
    if host is None:
        return "the controllers have not reported it: create its class again, and wait for the class's condition Connected"
    if claim := host["spec"].get("claimRef"):
        return f"workload {claim['namespace']}/{claim['name']} has the Host {name_of(host)}: clear its spec.claimRef first"
    if namespace not in namespaces:
        return f"the namespace {namespace} does not exist: create it, or clear what names the Workload on the real host to free it"
    recorded = read_record(bmh).namespace_uid
    if recorded and recorded != uid_of(namespaces[namespace]):
        return f"the namespace {namespace} was deleted and created again since: its present users may be others, so decide by hand"
    has = ((workload or {}).get("status") or {}).get("host")
    if has:
        return f"workload {namespace}/{name} has another host since ({has['name']}): delete it if it can be spared, then run this again"
    return None


def marking_patch(bmh: Object) -> Object:
    """Return the merge patch of the real host by which a successor of its Workload may take it over."""
    metadata = {"resourceVersion": bmh["metadata"]["resourceVersion"], "uid": uid_of(bmh)}
    return {"metadata": {**metadata, "annotations": {names.RECOVER: labels_of(bmh)[names.WORKLOAD_UID]}}}


def successor(bmh: Object, class_name: str) -> Object:
    """Return the Workload to create in place of the lost one."""
    namespace, name = lost_key(bmh)
    record = read_record(bmh)
    metadata = {"name": name, "namespace": namespace, **({"labels": record.labels} if record.labels else {})}
    spec = {"className": class_name, **record.spec}
    return {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "metadata": metadata, "spec": spec}
