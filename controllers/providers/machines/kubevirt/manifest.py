"""Compute new VirtualMachine objects, and the patches that add or remove a root disk.

A VirtualMachine is created when its slot is claimed, and exists as long as the claim. Without an
image, it is halted and has no disks. Changes that the cluster's owner makes to anything but disks
and power stay.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver.apis.base import DNS_LABEL
from apiserver.client.objects import Object, annotations_of, labels_of, name_of, namespace_of, uid_of
from controllers.providers.base import ApplyRequest
from controllers.providers.machines.flavors import Slot, mac_address
from controllers.providers.machines.instance import record
from controllers.providers.machines.kubevirt import names
from controllers.providers.machines.kubevirt.images import RootDisk, image_digest
from controllers.providers.machines.kubevirt.parameters import MachineFlavor, MachineNIC, Parameters
from controllers.providers.machines.kubevirt.seed import DISK as SEED_DISK

ROOT_DISK = "root"
NO_DISK = "none"
RUNNING, HALTED = "Always", "Halted"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "s390x": "s390x"}


def virtual_machine(request: ApplyRequest, slot: Slot, flavor: MachineFlavor, parameters: Parameters) -> Object:
    """Return the VirtualMachine of a slot that this Workload claims: halted and empty."""
    uid, tags = request.source.uid, record(request, slot, flavor.encode(), parameters.identity)
    labels = {key: tags.pop(key) for key in (names.WORKLOAD_UID, names.SLOT_UID)}
    return {
        "apiVersion": names.VIRTUAL_MACHINES.api_version,
        "kind": names.VIRTUAL_MACHINES.kind,
        "metadata": {
            "name": names.machine_name(slot, uid),
            "namespace": parameters.namespace,
            "labels": labels,
            "annotations": tags,
        },
        "spec": {
            "runStrategy": HALTED,
            "template": {"metadata": {"labels": {names.SLOT_UID: uid}}, "spec": _template(request, flavor, parameters)},
        },
    }


def _template(request: ApplyRequest, flavor: MachineFlavor, parameters: Parameters) -> Object:
    spec: Object = {
        "architecture": ARCHITECTURES[flavor.architecture],
        "terminationGracePeriodSeconds": parameters.termination_grace_period_seconds,
        "domain": {
            "cpu": {"cores": flavor.cpu},
            "memory": {"guest": f"{flavor.memory_mebibytes}Mi"},
            "firmware": {"uuid": request.view_uid},
            "devices": {"interfaces": [_interface(nic, mac_address(request.source.uid, i)) for i, nic in enumerate(flavor.nics)]},
        },
        "networks": [_network(nic) for nic in flavor.nics],
    }
    if re.fullmatch(DNS_LABEL, request.view_name) and len(request.view_name) <= 63:
        spec["hostname"] = request.view_name
    if parameters.node_selector:
        spec["nodeSelector"] = parameters.node_selector
    return spec


def _interface(nic: MachineNIC, mac: str) -> Object:
    binding = nic.binding or ("masquerade" if nic.network is None else "bridge")
    return {"name": nic.name, binding: {}, "macAddress": mac}


def _network(nic: MachineNIC) -> Object:
    return {"name": nic.name, "pod": {}} if nic.network is None else {"name": nic.name, "multus": {"networkName": nic.network}}


def install_patch(vm: Object, disk: RootDisk, seed_volume: Object) -> Object:
    """Return the merge patch that adds the root disk and the first-boot disk. The power state stays
    as it is."""
    disks: list[Any] = [{"name": ROOT_DISK, "bootOrder": 1, "disk": {"bus": "virtio"}}, {"name": SEED_DISK, "disk": {"bus": "virtio"}}]
    if disk.container:
        root: Object = {"name": ROOT_DISK, "containerDisk": {"image": disk.container}}
    else:
        root = {"name": ROOT_DISK, "dataVolume": {"name": names.disk_name(name_of(vm), disk.digest)}}
    template = {"spec": {"domain": {"devices": {"disks": disks}}, "volumes": [root, seed_volume]}}
    image = orjson.dumps(disk.image, option=orjson.OPT_SORT_KEYS).decode()
    return {"metadata": {"annotations": {names.IMAGE: image, names.BOOTED: None}}, "spec": {"template": template}}


def data_volume(vm: Object, disk: RootDisk, size: str, parameters: Parameters) -> Object | None:
    """Return the DataVolume that imports the image; None for a containerDisk.

    It is deleted with the VirtualMachine. It is not one of the VirtualMachine's
    dataVolumeTemplates, because their schema is older and drops checksums."""
    if disk.source is None:
        return None
    storage: Object = {"resources": {"requests": {"storage": size}}}
    if parameters.storage_class_name:
        storage["storageClassName"] = parameters.storage_class_name
    return {
        "apiVersion": names.DATA_VOLUMES.api_version,
        "kind": names.DATA_VOLUMES.kind,
        "metadata": {
            "name": names.disk_name(name_of(vm), disk.digest),
            "namespace": namespace_of(vm),
            "labels": {key: labels_of(vm)[key] for key in (names.WORKLOAD_UID, names.SLOT_UID)},
            "ownerReferences": [_owner_reference(vm)],
        },
        "spec": {"source": disk.source, "storage": storage},
    }


def secret_object(vm: Object, workload_uid: str, data: Mapping[str, bytes]) -> Object:
    """Return the secret with the first-boot data, which is deleted with the VirtualMachine."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": names.secret_name(workload_uid),
            "namespace": namespace_of(vm),
            "labels": {names.WORKLOAD_UID: workload_uid},
            "ownerReferences": [_owner_reference(vm)],
        },
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def _owner_reference(vm: Object) -> Object:
    """Return the owner reference for objects that are deleted with the VirtualMachine."""
    owner = names.VIRTUAL_MACHINES
    return {"apiVersion": owner.api_version, "kind": owner.kind, "name": name_of(vm), "uid": uid_of(vm)}


def installed_image(vm: Object) -> Object | None:
    """Return the image of the machine's root disk."""
    text = annotations_of(vm).get(names.IMAGE)
    try:
        image = orjson.loads(text) if text else None
    except orjson.JSONDecodeError:
        return {"url": "unknown"}
    return image if isinstance(image, dict) and image.get("url") else None


@dataclass(frozen=True, slots=True)
class Erasing:
    """One step of removing a root disk.

    If `disk` names a DataVolume, it is deleted together with its claim. Then `patch` is written."""

    patch: Object
    disk: str = ""


def erasing(vm: Object, vmi: Object | None) -> Erasing | None:
    """Return the next step for a machine that is marked for the removal of its disk.

    Returns None while the machine is being shut down. The steps are as in BMO's deprovisioning:
    power off, detach the disk, delete it."""
    if vm["spec"].get("runStrategy") != HALTED:
        return Erasing({"spec": {"runStrategy": HALTED}})
    if vmi is not None:
        return None
    if installed_image(vm) is not None:
        devices: Object = {"domain": {"devices": {"disks": None}}, "volumes": None}
        return Erasing({"metadata": {"annotations": {names.IMAGE: None, names.BOOTED: None}}, "spec": {"template": {"spec": devices}}})
    disk = annotations_of(vm)[names.REMOVING]
    return Erasing({"metadata": {"annotations": {names.REMOVING: None}}}, "" if disk == NO_DISK else disk)


def note_patch(vm: Object, tags: Mapping[str, str]) -> Object:
    """Return the merge patch that sets annotations.

    BOOTED names the disk that was seen running, and REMOVING the disk that is being removed."""
    notes = dict(tags)
    if names.BOOTED in notes:
        notes[names.BOOTED] = image_digest(installed_image(vm) or {})
    if names.REMOVING not in notes:
        return {"metadata": {"annotations": notes}}
    notes[names.REMOVING] = _disk_of(vm)
    return {"metadata": {"annotations": notes}, "spec": {"runStrategy": HALTED}}


def _disk_of(vm: Object) -> str:
    """Return the name of the machine's DataVolume."""
    volumes = ((vm["spec"].get("template") or {}).get("spec") or {}).get("volumes") or ()
    return next((str(volume["dataVolume"]["name"]) for volume in volumes if "dataVolume" in volume), NO_DISK)
