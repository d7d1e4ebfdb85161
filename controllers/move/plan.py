"""What moves and as what. Pure.

A Workload with a host moves *down*, to a cluster that relays this one's hosts: there it takes over the claim, while the Workload here stays
and keeps the host, its consumerRef naming the other. It moves *up*, back to where its host came from, by giving that claim back. One
without a host is made anew and deleted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.host import ADOPTS, WORKLOAD_FIELDS
from apiserver.apis.names import FIRST_BOOT
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, name_of, namespace_of, uid_of
from controllers import kinds

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "HELD",
    "MOVED_FROM",
    "MOVED_TO",
    "PIN",
    "giving_back_patch",
    "letting_go_patch",
    "same_data",
    "secret_copy",
    "secrets_of",
    "stays",
    "successor",
    "unpinned_patch",
    "unused",
]

MOVED_FROM = f"{kinds.GROUP}/moved-from"
"""Annotation of a Workload that was moved here: the uid of the one it was made after."""
MOVED_TO = f"{kinds.GROUP}/moved-to"
"""Annotation of a Workload that was moved down and keeps the host for it: the uid of its successor."""
HELD = f"{kinds.GROUP}/moving"
"""Annotation of a successor that must not get a host yet, for its predecessor is still there: the hostRef it is to have, or nothing."""
PIN = "moving"
"""The host that a held successor is pinned to: none."""

CLUSTER_API = "cluster.x-k8s.io"


def stays(workload: Object) -> str | None:
    """Why the Workload is not for this move; None when it is."""
    if deleting(workload):
        return "it is being deleted"
    if kinds.CLAIMED_THROUGH in labels_of(workload):
        return "a claim through the BareMetalHost has made it: it moves with its consumer (clusterctl move)"
    owners = [*(workload["metadata"].get("ownerReferences") or ()), workload["spec"].get("consumerRef") or {}]
    for owner in owners:
        group = str(owner.get("apiVersion") or "").partition("/")[0]
        if group == CLUSTER_API or group.endswith(f".{CLUSTER_API}"):
            return f"it is Cluster API's ({owner.get('kind')} {owner.get('name')}): clusterctl move moves it"
    return None


def secrets_of(workload: Object) -> list[str]:
    """The names of the secrets that the Workload names."""
    spec = workload["spec"]
    return sorted({spec[field]["name"] for field in FIRST_BOOT if (spec.get(field) or {}).get("name")})


def unused(names: Iterable[str], workloads: Iterable[Object]) -> list[str]:
    """Of these secrets those that none of the Workloads names."""
    used = {name for workload in workloads for name in secrets_of(workload)}
    return sorted(set(names) - used)


def secret_copy(secret: Object) -> Object:
    """The secret as it is made in the other cluster."""
    metadata = {field: secret["metadata"][field] for field in ("name", "labels", "annotations") if secret["metadata"].get(field)}
    kept: Object = {field: secret[field] for field in ("type", "data", "immutable") if field in secret}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, **kept}


def same_data(one: Object, other: Object) -> bool:
    """Whether two secrets hold the same."""
    return (one.get("data") or {}) == (other.get("data") or {})


def successor(workload: Object, *, class_name: str | None, host: str | None, adopts: str | None) -> Object:
    """The Workload as it is made in the other cluster. `host`: the name of the host that it is to get, if it has one here; `adopts`: whose
    claim there it takes over. Without a host it is held until its predecessor is gone."""
    metadata: dict[str, Any] = {"name": name_of(workload), "annotations": {MOVED_FROM: uid_of(workload)}}
    if labels := labels_of(workload):
        metadata["labels"] = labels
    ours = (MOVED_FROM, MOVED_TO, HELD, ADOPTS, "kubectl.kubernetes.io/last-applied-configuration")
    metadata["annotations"] |= {key: value for key, value in annotations_of(workload).items() if key not in ours}
    spec = {key: value for key, value in workload["spec"].items() if key not in ("className", "hostRef")}
    if class_name:
        spec["className"] = class_name
    if host is None:
        metadata["annotations"][HELD] = (workload["spec"].get("hostRef") or {}).get("name", "")
    if adopts is not None:
        metadata["annotations"][ADOPTS] = adopts
    spec["hostRef"] = {"name": host or PIN}
    return {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "metadata": metadata, "spec": spec}


def unpinned_patch(held: Object) -> Object:
    """The merge patch that lets a held successor have a host."""
    wanted = annotations_of(held)[HELD]
    metadata = {"uid": uid_of(held), "annotations": {HELD: None}}
    return {"metadata": metadata, "spec": {"hostRef": {"name": wanted} if wanted else None}}


def giving_back_patch(view: Object, successor_: Object) -> Object:
    """The merge patch of the host's view, where it came from, by which the claim is given back to the Workload there: what is wanted of the
    host is from now on what the successor wanted, with secrets of the same names. The relay's label stays: it tells that the claim was
    given back, and not lost."""
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


def letting_go_patch(workload: Object) -> Object | None:
    """The merge patch of the Workload that has its host for itself again; None if there is nothing to change. A consumerRef that names the
    Workload itself came of the moves."""
    patch: Object = {}
    if MOVED_TO in annotations_of(workload):
        patch["metadata"] = {"annotations": {MOVED_TO: None}}
    if workload["spec"].get("consumerRef") == _self(workload):
        patch["spec"] = {"consumerRef": None}
    return patch or None


def _self(workload: Object) -> Object:
    return {"apiVersion": kinds.WORKLOADS.api_version, "kind": "Workload", "namespace": namespace_of(workload), "name": name_of(workload)}


def _consumer(adopts: str) -> Object:
    """The consumerRef that the annotation ADOPTS tells of."""
    api_version, kind, full = adopts.split(" ", 2)
    namespace, _, name = full.partition("/")
    return {"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name}
