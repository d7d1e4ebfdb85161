"""Interpret a tenant's write to its view, as the inverse of projection.

The result has the changes of the Workload's spec and of the tenant's own metadata, and says whether
the write claims or releases the host. Changes that a tenant may not make are refused with the field
and the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from apiserver.apis.host import WORKLOAD_FIELDS
from apiserver.apis.names import FIRST_BOOT, PAUSED, REBOOT, STATUS_ANNOTATION
from apiserver.apis.status import cause
from apiserver.registry.claims.projection import held_for


class Refused(Exception):
    """A tenant may not make this write. `causes` give the reasons by field."""

    def __init__(self, causes: list[dict[str, str]]) -> None:
        super().__init__("; ".join(c["message"] for c in causes))
        self.causes = causes


class Taken(Exception):
    """The write would replace another consumer that the writer did not know of."""


@dataclass(frozen=True, slots=True)
class ViewUpdate:
    """The meaning of a write to a view."""

    action: Literal["nothing", "claim", "adopt", "give up", "change", "release"]
    """The effect on the claim. "adopt" and "give up" take over the claim that the host's source
    knows. "give up" releases it at once."""
    changes: dict[str, Any]
    """The changed WORKLOAD_FIELDS of the Workload, all for a new one. None removes a field."""
    tenant: dict[str, Any]
    """The new Host.spec.view (TenantMetadata)."""


def view_update(
    old: dict[str, Any], new: dict[str, Any], host: dict[str, Any], *, claimed: bool, releasing: bool, has_version: bool
) -> ViewUpdate:
    """Return the meaning of a write from view `old` to the validated view `new` of `host`.

    `claimed`: the namespace has the host. `releasing`: its Workload is being deleted.
    `has_version`: the writer named the resourceVersion that it saw, so it intends to replace a
    consumer. Raises Refused or Taken."""
    changes, tenant = _changes(old["spec"], new["spec"]), tenant_metadata(host, new)
    before, after = old["spec"].get("consumerRef"), new["spec"].get("consumerRef")
    if not _changed(old, new):
        return ViewUpdate("nothing", changes, tenant)
    causes = _forbidden(old, new)
    if causes:
        raise Refused(causes)
    if held_for(host, old["metadata"]["namespace"]) is not None:
        if before is not None and after is not None and _another(before, after):
            raise Taken
        wanted = {field: new["spec"][field] for field in WORKLOAD_FIELDS if field in new["spec"]}
        return ViewUpdate("give up" if after is None else "adopt", wanted, tenant)
    if not claimed:
        if after is None:
            message = "Required value: the host is free: set spec.consumerRef to claim it; nothing else may be changed before"
            raise Refused([cause("FieldValueRequired", message, "spec.consumerRef")])
        return ViewUpdate("claim", {**changes, "online": new["spec"]["online"]}, tenant)
    if releasing and changes:
        message = "Forbidden: the host is being released; wait until it is offered again"
        raise Refused([cause("FieldValueForbidden", message, "spec")])
    if before is not None and after is not None and not has_version and _another(before, after):
        raise Taken
    if before is not None and after is None:
        return ViewUpdate("release", changes, tenant)
    return ViewUpdate("change", changes, tenant)


def _another(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether `after` is a rival of `before`: another object of the same kind.

    A Cluster that keeps a host for reuse and a machine that takes it again are not rivals (CAPM3
    node reuse)."""
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
    """Return causes for reboot annotations that BMO's webhook would refuse.

    The real host would refuse them, and everything written with them."""
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
    """Return the tenant's part of the view's metadata, as the inverse of projection's merge.

    A label of the host that the tenant has overwritten stays the tenant's, even if the host's value
    becomes the same."""
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
        # BMO removes the status annotation of a host that is not paused, and CAPM3 relies on that.
        del annotations[STATUS_ANNOTATION]
        if not annotations:
            del tenant["annotations"]
    for field in ("ownerReferences", "finalizers"):
        if metadata.get(field):
            tenant[field] = metadata[field]
    return tenant
