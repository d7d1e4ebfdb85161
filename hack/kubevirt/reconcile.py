"""Decide what KubeVirt and its importer do next with one VirtualMachine, one action at a time.

Every action changes an object that is watched, which causes the next action. Nothing takes time.
The simulation covers DataVolumes that import, instances that start, stop and get addresses,
finalizers, and status.printableStatus as virt-controller writes it. The machine itself requests
faults:

- An image URL with `no-such` in it cannot be downloaded.
- With the node selector `room: none`, the instance cannot be scheduled.
- More than 1Ti of memory exceeds a quota.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from apiserver.apis.quantity import TI, parse_quantity
from apiserver.client.objects import Object, deleting, labels_of, name_of, namespace_of, uid_of

MACHINE_FINALIZER = "kubevirt.io/virtualMachineControllerFinalize"
INSTANCE_FINALIZER = "foregroundDeleteVirtualMachine"
MISSING = "no-such"


@dataclass(frozen=True)
class ObservedState:
    """A machine with its instance, its DataVolumes by name, and the names of the existing
    secrets."""

    vm: Object
    vmi: Object | None
    volumes: Mapping[str, Object]
    secrets: Collection[str]


@dataclass(frozen=True)
class Action:
    """One write: of the machine (`vm`) or its instance (`vmi`). `body`: the object to create, or a
    merge patch."""

    what: Literal["vm", "vmi"]
    verb: Literal["create", "patch", "patch status", "delete"]
    body: Object


def next_action(observed: ObservedState) -> Action | None:
    """Return the next action; None if there is nothing to do until something changes."""
    if (action := _metadata(observed)) is not None:
        return action
    if (action := _instance(observed)) is not None:
        return action
    status = _status(observed)
    current = observed.vm.get("status") or {}
    if any(current.get(key) != value for key, value in status.items()):
        return Action("vm", "patch status", {"status": status})
    return None


def import_status(volume: Object) -> Object | None:
    """Return the status that an importer would give a DataVolume next; None if it is done, or
    stuck."""
    phase = (volume.get("status") or {}).get("phase") or ""
    source = volume["spec"]["source"]
    url = (source.get("http") or source.get("registry") or {}).get("url") or ""
    if MISSING in url and phase == "ImportInProgress":
        return {"phase": "Failed", "progress": "N/A"}
    following = {"": "ImportScheduled", "ImportScheduled": "ImportInProgress", "ImportInProgress": "Succeeded"}.get(phase)
    return {"phase": following, "progress": "100.0%" if following == "Succeeded" else "N/A"} if following else None


def _metadata(observed: ObservedState) -> Action | None:
    """Set or remove the finalizer: a machine stays until its instance is gone."""
    finalizers = observed.vm["metadata"].get("finalizers") or []
    if not deleting(observed.vm) and MACHINE_FINALIZER not in finalizers:
        return Action("vm", "patch", {"metadata": {"finalizers": [*finalizers, MACHINE_FINALIZER]}})
    if deleting(observed.vm) and observed.vmi is None and MACHINE_FINALIZER in finalizers:
        return Action("vm", "patch", {"metadata": {"finalizers": [item for item in finalizers if item != MACHINE_FINALIZER]}})
    return None


def _instance(observed: ObservedState) -> Action | None:
    vm, vmi = observed.vm, observed.vmi
    on = vm["spec"].get("runStrategy") == "Always" and not deleting(vm)
    if vmi is None:
        return Action("vmi", "create", _new_instance(vm)) if on and _can_start(observed) else None
    if deleting(vmi):
        return Action("vmi", "patch", {"metadata": {"finalizers": []}})
    if not on:
        return Action("vmi", "delete", {})
    phase = (vmi.get("status") or {}).get("phase")
    if phase is None:
        return Action("vmi", "patch status", {"status": {"phase": "Scheduling"}})
    if phase == "Scheduling" and not _stuck(vm):
        return Action("vmi", "patch status", {"status": {"phase": "Running", "interfaces": _addresses(vmi)}})
    return None


def _can_start(observed: ObservedState) -> bool:
    names = [volume["dataVolume"]["name"] for volume in _volumes(observed.vm) if "dataVolume" in volume]
    ready = all((observed.volumes.get(name) or {}).get("status", {}).get("phase") == "Succeeded" for name in names)
    return ready and not _over_quota(observed.vm) and _needed_secrets(observed.vm) <= set(observed.secrets)


def _needed_secrets(vm: Object) -> set[str]:
    found = set()
    for volume in _volumes(vm):
        drive = volume.get("cloudInitConfigDrive") or {}
        found |= {drive[key]["name"] for key in ("secretRef", "networkDataSecretRef") if key in drive}
        if "secret" in volume:
            found.add(volume["secret"]["secretName"])
    return found


def _new_instance(vm: Object) -> Object:
    template = vm["spec"]["template"]
    owner = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": name_of(vm), "uid": uid_of(vm), "controller": True}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {
            "name": name_of(vm),
            "namespace": namespace_of(vm),
            "labels": labels_of(template) if template.get("metadata") else {},
            "finalizers": [INSTANCE_FINALIZER],
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


def _addresses(vmi: Object) -> list[Object]:
    interfaces = vmi["spec"]["domain"]["devices"].get("interfaces") or []
    digest = hashlib.sha256(uid_of(vmi).encode()).digest()
    return [
        {
            "name": interface["name"],
            "mac": interface["macAddress"],
            "ipAddress": f"10.{244 + index}.{digest[0]}.{digest[1]}",
            "infoSource": "domain",
        }
        for index, interface in enumerate(interfaces)
    ]


def _status(observed: ObservedState) -> Object:
    phase = ((observed.vmi or {}).get("status") or {}).get("phase")
    status: Object = {"created": observed.vmi is not None, "ready": phase == "Running", "printableStatus": _printable(observed, phase)}
    if _over_quota(observed.vm) and observed.vm["spec"].get("runStrategy") == "Always":
        message = 'Error encountered while creating the instance: pods "virt-launcher" is forbidden: exceeded quota: machines'
        status["conditions"] = [{"type": "Failure", "status": "True", "reason": "FailedCreate", "message": message}]
    elif (observed.vm.get("status") or {}).get("conditions"):
        status["conditions"] = []
    return status


def _printable(observed: ObservedState, phase: str | None) -> str:
    on = observed.vm["spec"].get("runStrategy") == "Always"
    phases = [(volume.get("status") or {}).get("phase") for volume in observed.volumes.values()]
    checks: list[tuple[Any, str]] = [
        (deleting(observed.vm), "Terminating"),
        (observed.vmi is not None and (deleting(observed.vmi) or not on), "Stopping"),
        (phase == "Running", "Running"),
        ("Failed" in phases, "DataVolumeError"),
        (any(phase != "Succeeded" for phase in phases), "Provisioning"),
        (on and observed.vmi is not None and _nowhere(observed.vm), "ErrorUnschedulable"),
        (on and observed.vmi is not None and _stuck(observed.vm), "ImagePullBackOff"),
        (on, "Starting"),
    ]
    return next((name for applies, name in checks if applies), "Stopped")


def _stuck(vm: Object) -> bool:
    images = [volume["containerDisk"]["image"] for volume in _volumes(vm) if "containerDisk" in volume]
    return _nowhere(vm) or any(MISSING in image for image in images)


def _nowhere(vm: Object) -> bool:
    return (vm["spec"]["template"]["spec"].get("nodeSelector") or {}).get("room") == "none"


def _over_quota(vm: Object) -> bool:
    guest = vm["spec"]["template"]["spec"]["domain"].get("memory", {}).get("guest", "0")
    return parse_quantity(guest) > TI


def _volumes(vm: Object) -> list[Object]:
    return vm["spec"]["template"]["spec"].get("volumes") or []
