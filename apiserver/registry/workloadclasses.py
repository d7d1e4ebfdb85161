"""WorkloadClasses: plain objects of the owner; which one is the default is read off an annotation, as with StorageClass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.apis.workloadclass import DEFAULT_CLASS_ANNOTATION, GROUP, VERSION, WorkloadClass
from apiserver.registry.resource import Column, Resource

if TYPE_CHECKING:
    from apiserver.registry.store import Registry

__all__ = ["WORKLOADCLASSES", "default_class"]

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


def default_class(classes: Registry) -> str | None:
    """The name of the default class: the newest of those that are annotated as such (as DefaultStorageClass chooses)."""
    metadata = [entry.object()["metadata"] for entry in classes.collection.range()]
    candidates = [m for m in metadata if (m.get("annotations") or {}).get(DEFAULT_CLASS_ANNOTATION) == "true"]
    return max(candidates, key=lambda m: (m["creationTimestamp"], m["name"]))["name"] if candidates else None
