"""Determine the state of a claim on a host of another metal3-workloads, for a Workload.

Two fields record the holder of a claim there: its consumerRef, and our label with the Workload's
uid. The label outlives a consumerRef that its consumer there has overwritten. So the label
distinguishes a claim that has to be handed back from one that was never taken. An annotation
records the Workloads that have handed the claim back. So a controller with an outdated cache does
not take or release the host again.
"""

from __future__ import annotations

from typing import Literal

from apiserver.apis.host import adopted_consumer
from apiserver.apis.names import ADOPTS, FIRST_BOOT
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, namespace_of, uid_of
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.desired import is_claimed_by

REMEMBERED = 8

ClaimState = Literal["ours", "ours to adopt", "handed back", "leaving", "free", "another's"]
"""The states of a claim:

- ours: claimed there for this Workload.
- ours to adopt: claimed there by the consumer that the Workload continues.
- handed back: it was ours, and a consumer there has it again.
- leaving: it was ours, and is being released.
- free: it has no consumer.
- another's: everything else."""


def claim_state(view: Object, workload: Object) -> ClaimState:
    """Return the state of the claim on the view, for the Workload."""
    reference = (view.get("spec") or {}).get("consumerRef") or {}
    if is_claimed_by(view, workload) and reference.get("uid") == uid_of(workload):
        return "ours"
    if labels_of(view).get(names.WORKLOAD_UID) == uid_of(workload):
        return "handed back" if reference else "leaving"
    if not reference:
        return "free"
    adopts = annotations_of(workload).get(ADOPTS)
    untouched = names.WORKLOAD_UID not in labels_of(view) and uid_of(workload) not in _handed_back(view)
    return "ours to adopt" if untouched and adopts == adopted_consumer(reference) else "another's"


def _handed_back(view: Object) -> list[str]:
    return [uid for uid in annotations_of(view).get(names.HANDED_BACK, "").split(",") if uid]


def held_claim(view: Object, fields: tuple[str, ...]) -> Object | None:
    """Return the claim there as a HeldClaim.

    Returns None if the claim belongs to a relay instead of the tenant, or is being given up."""
    spec = view.get("spec") or {}
    if not spec.get("consumerRef") or names.WORKLOAD_UID in labels_of(view) or deleting(view):
        return None
    held: Object = {"namespace": namespace_of(view), "spec": {field: spec[field] for field in fields if spec.get(field) is not None}}
    for field, found in (("labels", labels_of(view)), ("annotations", annotations_of(view))):
        kept = {key: value for key, value in found.items() if not key.startswith(names.OURS)}
        if kept:
            held[field] = kept
    return held


def handing_back_patch(view: Object, workload: Object) -> Object:
    """Return the merge patch that removes our marks from a claim that its consumer has again.

    It replaces our secrets by the consumer's own: those named by the Workload, which moved back
    with the consumer. What runs on the host is not changed."""
    uid, spec = uid_of(workload), view.get("spec") or {}
    changes: Object = {}
    if (spec.get("consumerRef") or {}).get("uid") == uid:
        changes["consumerRef"] = {"uid": None}  # a merge patch of the other fields keeps ours
    for field in FIRST_BOOT:
        if (spec.get(field) or {}).get("name") == names.secret_name(uid, field):
            own = workload["spec"].get(field)
            changes[field] = {"name": own["name"], "namespace": namespace_of(view)} if own else None
    marks: Object = {key: None for key in (names.MANAGEMENT, names.PASSED) if key in annotations_of(view)}
    marks[names.HANDED_BACK] = ",".join([*_handed_back(view), uid][-REMEMBERED:])
    metadata: Object = {"labels": {names.WORKLOAD_UID: None}, "annotations": marks}
    return {"metadata": metadata, **({"spec": changes} if changes else {})}
