"""What a tenant's write to its view means: the pure inverse of projection.

Yields changes of the Workload's spec and the tenant's own metadata, and whether the host is claimed or released by it.
What the view does not let a tenant change is refused with the field and the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from apiserver.apis.host import WORKLOAD_FIELDS
from apiserver.apis.names import FIRST_BOOT, REBOOT
from apiserver.apis.status import cause
from apiserver.registry.claims.projection import PAUSED, STATUS_ANNOTATION, held_for

__all__ = ["Absorbed", "Refused", "Taken", "absorb"]


class Refused(Exception):
    """The write is not one a tenant may make; `causes` say why, field by field."""

    def __init__(self, causes: list[dict[str, str]]) -> None:
        super().__init__("; ".join(c["message"] for c in causes))
        self.causes = causes


class Taken(Exception):
    """The write would replace another consumer that it did not know of."""


@dataclass(frozen=True, slots=True)
class Absorbed:
    """`action`: what becomes of the claim; "adopt" and "give up" take over the claim that the host's source knows, the latter to release
    it at once. `changes`: the WORKLOAD_FIELDS that the Workload is to have otherwise (a new one: at all), None for "not at all".
    `tenant`: the new Host.spec.view (TenantMetadata)."""

    action: Literal["nothing", "claim", "adopt", "give up", "change", "release"]
    changes: dict[str, Any]
    tenant: dict[str, Any]


def absorb(old: dict[str, Any], new: dict[str, Any], host: dict[str, Any], *, claimed: bool, releasing: bool, informed: bool) -> Absorbed:
    """What the write from `old` to `new` (both views; `new` validated) means for `host`.

    `claimed`: the namespace has the host. `releasing`: its Workload is being deleted. `informed`: the writer named the
    resourceVersion it saw, so that replacing a consumer is meant. Raises Refused, Taken."""
    changes, tenant = _changes(old["spec"], new["spec"]), tenant_metadata(host, new)
    before, after = old["spec"].get("consumerRef"), new["spec"].get("consumerRef")
    if not _changed(old, new):
        return Absorbed("nothing", changes, tenant)
    causes = _forbidden(old, new)
    if causes:
        raise Refused(causes)
    if held_for(host, old["metadata"]["namespace"]) is not None:
        if before is not None and after is not None and _another(before, after):
            raise Taken
        wanted = {field: new["spec"][field] for field in WORKLOAD_FIELDS if field in new["spec"]}
        return Absorbed("give up" if after is None else "adopt", wanted, tenant)
    if not claimed:
        if after is None:
            message = "Required value: the host is free: set spec.consumerRef to claim it; nothing else may be changed before"
            raise Refused([cause("FieldValueRequired", message, "spec.consumerRef")])
        return Absorbed("claim", {**changes, "online": new["spec"]["online"]}, tenant)
    if releasing and changes:
        message = "Forbidden: the host is being released; wait until it is offered again"
        raise Refused([cause("FieldValueForbidden", message, "spec")])
    if before is not None and after is not None and not informed and _another(before, after):
        raise Taken
    if before is not None and after is None:
        return Absorbed("release", changes, tenant)
    return Absorbed("change", changes, tenant)


def _another(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether `after` is a rival of `before`: another object of the same kind. A Cluster that keeps a host for reuse and a machine
    that takes it up again are no rivals (CAPM3 node reuse)."""
    return before.get("kind") == after.get("kind") and (before.get("namespace"), before.get("name")) != (
        after.get("namespace"),
        after.get("name"),
    )


def _changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {field: new.get(field) for field in WORKLOAD_FIELDS if old.get(field) != new.get(field)}


def _changed(old: dict[str, Any], new: dict[str, Any]) -> bool:
    fields = ("labels", "annotations", "ownerReferences", "finalizers")
    metadata = any((old["metadata"].get(f) or None) != (new["metadata"].get(f) or None) for f in fields)
    return metadata or old["spec"] != new["spec"]


def _forbidden(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, str]]:
    causes = [
        cause("FieldValueForbidden", "Forbidden: belongs to the hardware's owner and cannot be changed here", f"spec.{field}")
        for field in sorted({*old["spec"], *new["spec"]} - set(WORKLOAD_FIELDS))
        if old["spec"].get(field) != new["spec"].get(field)
    ]
    causes += _bad_reboots(old["metadata"].get("annotations") or {}, new["metadata"].get("annotations") or {})
    namespace = new["metadata"]["namespace"]
    for field in FIRST_BOOT:
        other = (new["spec"].get(field) or {}).get("namespace")
        if other not in (None, "", namespace):
            message = f'Invalid value: "{other}": secrets are taken from the host\'s own namespace only: use {namespace}, or leave it out'
            causes.append(cause("FieldValueInvalid", message, f"spec.{field}.namespace"))
    if "image" in new["spec"] and "customDeploy" in new["spec"]:
        causes.append(
            cause("FieldValueInvalid", "Invalid value: image and customDeploy exclude each other: set one of them", "spec.customDeploy")
        )
    return causes


def _bad_reboots(old: dict[str, str], new: dict[str, str]) -> list[dict[str, str]]:
    """Reboots that BMO's webhook would not let through: the real host would refuse them, and all that is written with them."""
    changed = {key: value for key, value in new.items() if key.partition("/")[0] == REBOOT and old.get(key) != value}
    message = 'Invalid value: must be empty, or JSON such as {"mode": "hard"}, with mode hard or soft'
    return [cause("FieldValueInvalid", message, f"metadata.annotations[{key}]") for key in sorted(changed) if not _is_reboot(changed[key])]


def _is_reboot(value: str) -> bool:
    if value == "":
        return True
    try:
        asked = orjson.loads(value)
    except ValueError:
        return False
    return isinstance(asked, dict) and asked.get("mode", "") in ("hard", "soft", "") and isinstance(asked.get("force", False), bool)


def tenant_metadata(host: dict[str, Any], view: dict[str, Any]) -> dict[str, Any]:
    """What of the view's metadata is the tenant's: the inverse of projection's merge. A host's label that the tenant has
    written over stays the tenant's, also when the host's value becomes the same."""
    metadata, report, before = view["metadata"], host["status"]["report"], host["spec"].get("view") or {}
    tenant: dict[str, Any] = {"name": metadata["name"]}
    for field, removed in (("labels", "removedLabels"), ("annotations", "removedAnnotations")):
        shown, own, base = metadata.get(field) or {}, before.get(field) or {}, report.get(field) or {}
        kept = {k: v for k, v in shown.items() if k in own or base.get(k) != v}
        hidden = sorted(k for k in base if k not in shown)
        if kept:
            tenant[field] = kept
        if hidden:
            tenant[removed] = hidden
    annotations = tenant.get("annotations", {})
    if STATUS_ANNOTATION in annotations and PAUSED not in annotations:
        # BMO drops the status annotation of a host that is not paused; CAPM3 leaves it to that.
        del annotations[STATUS_ANNOTATION]
        if not annotations:
            del tenant["annotations"]
    for field in ("ownerReferences", "finalizers"):
        if metadata.get(field):
            tenant[field] = metadata[field]
    return tenant
