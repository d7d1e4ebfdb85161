"""Read which object controls another one (metav1.GetControllerOf)."""

from __future__ import annotations

from apiserver.client.objects import Object
from controllers import kinds


def controller_of(obj: Object) -> Object | None:
    """Return the reference to the object's controller, or None."""
    return next((owner for owner in obj["metadata"].get("ownerReferences") or () if owner.get("controller")), None)


def controlling_set(workload: Object) -> Object | None:
    """Return the reference to the WorkloadSet that controls the Workload, or None."""
    owner = controller_of(workload)
    is_set = owner is not None and (owner.get("apiVersion"), owner.get("kind")) == (kinds.SETS.api_version, kinds.SETS.kind)
    return owner if is_set else None
