"""A VirtualMachine and its instance as the machine in a slot. Pure.

Fields are listed, never left out; KubeVirt's own messages name nodes, namespaces and claims, and are the owner's alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from pydantic import ValidationError

from apiserver.client.objects import annotations_of, deleting, labels_of, name_of, namespace_of
from controllers.providers.base import Consumer
from controllers.providers.flavors import Machine, Slot
from controllers.providers.kubevirt import names
from controllers.providers.kubevirt.images import image_digest
from controllers.providers.kubevirt.parameters import MachineFlavor
from controllers.runtime.conditions import find_condition

if TYPE_CHECKING:
    from apiserver.client.objects import Object

__all__ = ["installed_image", "machine", "made_from", "quarantined", "slot_of", "taken_by"]

_NO_DISK = "the machine's disk is gone: ask its owner to restore it; if that cannot be, delete this Workload and create it again"

ERRORS = {
    "ErrorUnschedulable": "there is no room for the machine now: it starts when there is; a smaller one may fit",
    "ErrImagePull": "the image cannot be pulled: check spec.image.url",
    "ImagePullBackOff": "the image cannot be pulled: check spec.image.url",
    "DataVolumeError": "the image cannot be imported: check spec.image (url, checksum and that it is a disk image)",
    "ErrorPvcNotFound": _NO_DISK,
    "ErrorDataVolumeNotFound": _NO_DISK,
    "CrashLoopBackOff": "the machine fails to start again and again: its owner has to look at it",
}
"""By a VirtualMachine's status.printableStatus, what its tenant is told."""

FAILED = "the cluster cannot make the machine now; its owner sees why"
QUARANTINED = "a Workload with reclaimPolicy Retain left it as it was: save what you need, then delete the VirtualMachine {name}"
DELETED = "the VirtualMachine {name} is being deleted in the KubeVirt cluster"


def slot_of(vm: Object) -> Slot | None:
    """The slot that a VirtualMachine of ours stands in."""
    flavor, _, number = annotations_of(vm).get(names.SLOT, "").rpartition("/")
    return Slot(flavor, int(number)) if flavor and number.isdecimal() else None


def taken_by(vm: Object, workload_uid: str) -> bool:
    """Whether this Workload has the machine."""
    return labels_of(vm).get(names.WORKLOAD_UID) == workload_uid and not quarantined(vm)


def quarantined(vm: Object) -> bool:
    """Whether a Workload left it as it was."""
    return names.QUARANTINED in annotations_of(vm)


def made_from(vm: Object) -> MachineFlavor | None:
    """The flavor as it was when the machine was made; None if somebody has spoilt the record."""
    try:
        return MachineFlavor.decode(orjson.loads(annotations_of(vm).get(names.FLAVOR) or "null"))
    except (orjson.JSONDecodeError, ValidationError):
        return None


def installed_image(vm: Object) -> Object | None:
    """The image that the machine's root disk is made of."""
    text = annotations_of(vm).get(names.IMAGE)
    try:
        image = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return {"url": "unknown"}
    return image if isinstance(image, dict) and image.get("url") else None


def machine(vm: Object, vmi: Object | None, slot: Slot) -> Machine:
    """The machine in this slot."""
    removing, image = names.REMOVING in annotations_of(vm), installed_image(vm)
    error, problem = ("", None) if deleting(vm) else _trouble(vm)
    if quarantined(vm):
        problem = ("Quarantined", QUARANTINED.format(name=name_of(vm)))
    elif deleting(vm):
        problem = ("Deleting", DELETED.format(name=name_of(vm)))
    return Machine(
        slot=slot,
        consumer=_consumer(vm),
        made_from=made_from(vm),
        state=_state(vm, image, removing=removing),
        powered_on=vmi is not None and (vmi.get("status") or {}).get("phase") == "Running",
        image=image if image is not None and not removing else None,
        nics=_nics(vm, vmi),
        hostname=str((vm["spec"].get("template") or {}).get("spec", {}).get("hostname") or "") if vmi is not None else "",
        error=error,
        problem=problem,
    )


def _state(vm: Object, image: Object | None, *, removing: bool) -> str:
    """As a BareMetalHost's: what is on the disk, whatever the power."""
    if removing or deleting(vm):
        return "deprovisioning"
    if image is None:
        return "available"
    return "provisioned" if annotations_of(vm).get(names.BOOTED) == image_digest(image) else "provisioning"


def _consumer(vm: Object) -> Consumer:
    workload_uid = "" if quarantined(vm) else labels_of(vm).get(names.WORKLOAD_UID, "")
    namespace, _, name = annotations_of(vm).get(names.WORKLOAD, "").partition("/")
    if not workload_uid:
        return Consumer(names.VIRTUAL_MACHINES.kind, namespace_of(vm), name_of(vm))
    return Consumer("Workload", namespace, name, workload_uid)


def _trouble(vm: Object) -> tuple[str, tuple[str, str] | None]:
    """(for the tenant, (reason, message) for the owner)."""
    status = vm.get("status") or {}
    shown = status.get("printableStatus") or ""
    failure = find_condition(status.get("conditions"), "Failure")
    if failure is not None and failure["status"] == "True":
        text = f"VirtualMachine {name_of(vm)}: {failure.get('message') or failure.get('reason') or 'it failed'}"
        return FAILED, ("QuotaExceeded" if "exceeded quota" in text else "MachineFailed", text)
    if shown in ERRORS:
        return ERRORS[shown], (shown, f"VirtualMachine {name_of(vm)} is {shown}: see kubectl describe of it")
    return "", None


def _nics(vm: Object, vmi: Object | None) -> list[Object]:
    """Addresses in the order of the machine's own interfaces; those inside the guest only (such as of containers) do not count."""
    spec = (vm["spec"].get("template") or {}).get("spec") or {}
    interfaces = ((spec.get("domain") or {}).get("devices") or {}).get("interfaces") or ()
    seen = {item.get("name"): item for item in ((vmi or {}).get("status") or {}).get("interfaces") or () if item.get("name")}
    return [
        {"mac": seen.get(item["name"], {}).get("mac") or item.get("macAddress", ""), "ip": seen.get(item["name"], {}).get("ipAddress", "")}
        for item in interfaces
    ]
