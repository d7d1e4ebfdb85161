"""Explain the error of a VirtualMachine: to its tenant with a fixed sentence, and to the owner with
KubeVirt's own message."""

from __future__ import annotations

from apiserver.client.objects import Object, name_of
from controllers.runtime.conditions import find_condition

_NO_DISK = "the machine's disk is gone: ask its owner to restore it; if that cannot be, delete this Workload and create it again"

ERRORS = {
    "ErrorUnschedulable": "there is no capacity for the machine now: it starts when there is; a smaller one may fit",
    "ErrImagePull": "the image cannot be pulled: check spec.image.url",
    "ImagePullBackOff": "the image cannot be pulled: check spec.image.url",
    "DataVolumeError": "the image cannot be imported: check spec.image (url, checksum and that it is a disk image)",
    "ErrorPvcNotFound": _NO_DISK,
    "ErrorDataVolumeNotFound": _NO_DISK,
    "CrashLoopBackOff": "the machine fails to start again and again: its owner has to look at it",
}
"""The messages for tenants, by a VirtualMachine's status.printableStatus."""

FAILED = "the cluster cannot create the machine now; its owner sees why"
DELETED = "the VirtualMachine {name} is being deleted in the KubeVirt cluster"


def explain_machine(vm: Object) -> tuple[str, tuple[str, str] | None]:
    """Return the message for the tenant, and (reason, message) for the owner."""
    status = vm.get("status") or {}
    shown = status.get("printableStatus") or ""
    failure = find_condition(status.get("conditions"), "Failure")
    if failure is not None and failure["status"] == "True":
        text = f"VirtualMachine {name_of(vm)}: {failure.get('message') or failure.get('reason') or 'it failed'}"
        return FAILED, ("QuotaExceeded" if "exceeded quota" in text else "MachineFailed", text)
    if shown in ERRORS:
        return ERRORS[shown], (shown, f"VirtualMachine {name_of(vm)} is {shown}: see kubectl describe of it")
    return "", None
