"""Plan which objects move, and what they look like in the other cluster.

A Workload with a host moves *down* to a cluster that relays this one's hosts. There it takes over
the claim, while the Workload here stays and keeps the host; its consumerRef names the Workload
there. A Workload moves *up*, back to the cluster that its host comes from, by giving that claim
back. A Workload without a host is created in the target and deleted here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from apiserver.apis.host import WORKLOAD_FIELDS
from apiserver.apis.names import ADOPTS, FIRST_BOOT
from apiserver.apis.workload import named_secrets
from apiserver.client.clock import seconds_of
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.owners import controlling_set

MOVED_FROM = f"{kinds.GROUP}/moved-from"
"""An annotation of a Workload that was moved here: the uid of its predecessor."""
MOVED_TO = f"{kinds.GROUP}/moved-to"
"""An annotation of a Workload that was moved down and keeps the host: the uid of its successor."""
HELD = f"{kinds.GROUP}/moving"
"""An annotation of a successor that must not get a host while its predecessor exists.

The value is the name of its final hostRef, or ""."""
PIN = "moving"
"""The host to which a held successor is pinned. It does not exist."""

SHORT = 600
"""The seconds that must be left of a lease before a move, so that the lease does not end during the
move."""

CLUSTER_API = "cluster.x-k8s.io"


def is_cluster_apis(reference: Object) -> bool:
    """Return whether the reference names an object of Cluster API or one of its providers."""
    group = str(reference.get("apiVersion") or "").partition("/")[0]
    return group == CLUSTER_API or group.endswith(f".{CLUSTER_API}")


def reason_to_stay(workload: Object) -> str | None:
    """Return why the Workload is not moved, or None if it is."""
    if deleting(workload):
        return "it is being deleted"
    if kinds.CLAIMED_THROUGH in labels_of(workload):
        return "a claim through the BareMetalHost has made it: it moves with its consumer (clusterctl move)"
    if (set_ := controlling_set(workload)) is not None:
        return f"it is a member of WorkloadSet {set_['name']}, which would create it again: delete the set with --cascade=orphan first"
    owners = [*(workload["metadata"].get("ownerReferences") or ()), workload["spec"].get("consumerRef") or {}]
    for owner in owners:
        if is_cluster_apis(owner):
            return f"it is Cluster API's ({owner.get('kind')} {owner.get('name')}): clusterctl move moves it"
    return None


def secrets_of(workload: Object) -> list[str]:
    """Return the names of the secrets that the Workload names."""
    return sorted(set(named_secrets(workload["spec"]).values()))


def unused(names: Iterable[str], workloads: Iterable[Object]) -> list[str]:
    """Return the secrets that none of the Workloads names."""
    used = {name for workload in workloads for name in secrets_of(workload)}
    return sorted(set(names) - used)


def secret_copy(secret: Object) -> Object:
    """Return the secret to create in the other cluster."""
    metadata = {field: secret["metadata"][field] for field in ("name", "labels", "annotations") if secret["metadata"].get(field)}
    kept: Object = {field: secret[field] for field in ("type", "data", "immutable") if field in secret}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **kept}


def same_data(one: Object, other: Object) -> bool:
    """Return whether two secrets have the same data."""
    return (one.get("data") or {}) == (other.get("data") or {})


def lease_left(workload: Object, now: float) -> int | None:
    """Return the seconds until the Workload's lease ends, at least 1, or None without a lease."""
    lease = (workload.get("status") or {}).get("lease")
    return max(1, math.ceil(seconds_of(lease["expirationTimestamp"]) - now)) if lease else None


def renewed_lease(spec: Object, seconds: int) -> Object:
    """Return a spec.lease for a lease that begins now and lasts for about this many seconds.

    It differs from the present spec.lease, because only a change begins a new lease."""
    return {"durationSeconds": seconds + ((spec.get("lease") or {}).get("durationSeconds") == seconds)}


def successor(workload: Object, *, class_name: str | None, host: str | None, adopts: str | None, lease: int | None = None) -> Object:
    """Return the Workload to create in the other cluster.

    `host` is the name of the host that the Workload has here, or None. `adopts` is the consumer
    whose claim the successor takes over. `lease` is the number of seconds that are left of the
    Workload's lease. A successor without a host is held until its predecessor is gone."""
    metadata: dict[str, Any] = {"name": name_of(workload), "annotations": {MOVED_FROM: uid_of(workload)}}
    if labels := labels_of(workload):
        metadata["labels"] = labels
    ours = (MOVED_FROM, MOVED_TO, HELD, ADOPTS, "kubectl.kubernetes.io/last-applied-configuration")
    metadata["annotations"] |= {key: value for key, value in annotations_of(workload).items() if key not in ours}
    spec = {key: value for key, value in workload["spec"].items() if key not in ("className", "hostRef")}
    if class_name:
        spec["className"] = class_name
    if lease is not None:
        spec["lease"] = {"durationSeconds": lease}
    if host is None:
        metadata["annotations"][HELD] = (workload["spec"].get("hostRef") or {}).get("name", "")
    if adopts is not None:
        metadata["annotations"][ADOPTS] = adopts
    spec["hostRef"] = {"name": host or PIN}
    return {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "metadata": metadata, "spec": spec}


def unpinned_patch(held: Object) -> Object:
    """Return the merge patch that lets a held successor get a host."""
    wanted = annotations_of(held)[HELD]
    metadata = {"uid": uid_of(held), "annotations": {HELD: None}}
    return {"metadata": metadata, "spec": {"hostRef": {"name": wanted} if wanted else None}}


def giving_back_patch(view: Object, successor_: Object) -> Object:
    """Return the merge patch of the host's view at its origin that gives the claim back.

    From then on, the Workload at the origin wants what the successor wanted, with secrets of the
    same names. The relay's label stays: it shows that the claim was given back and not lost."""
    current, wanted = view["spec"], successor_["spec"]
    spec: Object = {}
    for field in WORKLOAD_FIELDS:
        value = wanted.get(field)
        if field in FIRST_BOOT and value:
            value = {"name": value["name"], "namespace": namespace_of(view)}
        if field == "consumerRef":
            value = _consumer(annotations_of(successor_)[ADOPTS])
        if current.get(field) != value:
            spec[field] = {**dict.fromkeys(current.get(field) or {}), **value} if isinstance(value, dict) else value
    return {"metadata": {"resourceVersion": view["metadata"]["resourceVersion"], "uid": uid_of(view)}, "spec": spec}


def reset_consumer_patch(workload: Object) -> Object | None:
    """Return the merge patch of the Workload that has its host for itself again, or None.

    A consumerRef that names the Workload itself is a result of the moves."""
    patch: Object = {}
    if MOVED_TO in annotations_of(workload):
        patch["metadata"] = {"annotations": {MOVED_TO: None}}
    if workload["spec"].get("consumerRef") == _self(workload):
        patch["spec"] = {"consumerRef": None}
    return patch or None


def _self(workload: Object) -> Object:
    return {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "namespace": namespace_of(workload), "name": name_of(workload)}


def _consumer(adopts: str) -> Object:
    """Return the consumerRef of the annotation ADOPTS."""
    api_version, kind, full = adopts.split(" ", 2)
    namespace, _, name = full.partition("/")
    return {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name}
