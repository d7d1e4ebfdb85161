"""WorkloadClasses: plain objects of the owner; which one is the default is read off an annotation, as with StorageClass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.workloadclass import DEFAULT_CLASS_ANNOTATION, GROUP, VERSION, WorkloadClass
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import Column, Resource

if TYPE_CHECKING:
    from apiserver.registry.generic.strategy import Admission
    from storage.cache import WatchCache

__all__ = ["WORKLOADCLASSES", "WorkloadClassRegistry", "default_class", "for_tenants"]

WORKLOADCLASSES = Resource(
    group=GROUP,
    version=VERSION,
    kind="WorkloadClass",
    plural="workloadclasses",
    singular="workloadclass",
    short_names=("wlc",),
    model=WorkloadClass,
    namespaced=False,
    columns=(
        Column("Provisioner", "spec.provisioner", description="The provider that machines come from"),
        Column("Connected", "status.conditions.(Connected).status", description="Whether the source of machines answers"),
        Column("Total", "status.hosts.total", type="integer", description="All hosts of the class"),
        Column("Free", "status.hosts.free", type="integer", description="Hosts that can be claimed now"),
        Column("Claimed", "status.hosts.claimed", type="integer", description="Hosts that workloads have"),
        Column("Age", "metadata.creationTimestamp", type="date"),
        Column("Reason", "status.conditions.(Connected).reason", priority=1),
        Column("Message", "status.conditions.(Connected).message", priority=1),
    ),
    subresources={"status": frozenset({"get", "update", "patch"})},
)


class WorkloadClassRegistry(Registry):
    """The generic registry; tenants, who choose among classes, read them without what is the owner's."""

    def __init__(self, cache: WatchCache, admission: Admission | None = None) -> None:
        super().__init__(WORKLOADCLASSES, cache, admission=admission)
        self.reduced = Registry(WORKLOADCLASSES, cache, reduce=for_tenants)


_METADATA = ("name", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
_ANNOTATIONS = (DEFAULT_CLASS_ANNOTATION, "description")
_SPEC = ("provisioner", "cleaning", "reclaim", "images", "secrets", "customDeploy")
_CONDITION = ("type", "status", "reason", "lastTransitionTime", "observedGeneration")


def for_tenants(obj: dict[str, Any]) -> dict[str, Any]:
    """The class as tenants see it: what they choose by, and the rules for what they write. Fields are listed, never left out."""
    metadata = _pick(obj["metadata"], _METADATA)
    annotations = _pick(obj["metadata"].get("annotations") or {}, _ANNOTATIONS)
    if annotations:
        metadata["annotations"] = annotations
    reduced = {**_pick(obj, ("apiVersion", "kind")), "metadata": metadata, "spec": _pick(obj["spec"], _SPEC)}
    if "status" in obj:
        conditions = [{**_pick(condition, _CONDITION), "message": ""} for condition in obj["status"].get("conditions") or []]
        reduced["status"] = {**_pick(obj["status"], ("observedGeneration",)), "conditions": conditions}
    return reduced


def _pick(source: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: source[field] for field in fields if field in source}


def default_class(classes: Registry) -> str | None:
    """The name of the default class: the newest of those that are annotated as such (as DefaultStorageClass chooses) and stay."""
    metadata = [entry.object()["metadata"] for entry in classes.collection.range()]
    candidates = [
        m for m in metadata if "deletionTimestamp" not in m and (m.get("annotations") or {}).get(DEFAULT_CLASS_ANNOTATION) == "true"
    ]
    return max(candidates, key=lambda m: (m["creationTimestamp"], m["name"]))["name"] if candidates else None
