"""VirtualMachine objects as they are made, and the patches that put a root disk into one or take it out. Pure.

A VirtualMachine is made when its slot is claimed, and lives as long as the claim; without an image it is halted and has no disks.
What the owner changes in it beyond disks and power stays.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import orjson

from apiserver.apis.base import DNS_LABEL
from apiserver.client.objects import labels_of, name_of, namespace_of, uid_of
from controllers.providers.flavors import mac_address
from controllers.providers.kubevirt import names
from controllers.providers.kubevirt.seed import DISK as SEED_DISK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apiserver.client.objects import Object
    from controllers.providers.base import ApplyRequest
    from controllers.providers.flavors import Slot
    from controllers.providers.kubevirt.images import RootDisk
    from controllers.providers.kubevirt.parameters import MachineFlavor, MachineNIC, Parameters

__all__ = ["HALTED", "RUNNING", "data_volume", "install_patch", "secret_object", "uninstall_patch", "virtual_machine"]

ROOT_DISK = "root"
RUNNING, HALTED = "Always", "Halted"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "s390x": "s390x"}


def virtual_machine(request: ApplyRequest, slot: Slot, flavor: MachineFlavor, parameters: Parameters) -> Object:
    """The VirtualMachine of a slot that this Workload claims: halted and empty."""
    uid, workload = request.source.uid, request.workload["metadata"]
    annotations = {
        names.SLOT: f"{slot.flavor}/{slot.index}",
        names.WORKLOAD: f"{workload['namespace']}/{workload['name']}",
        names.FLAVOR: orjson.dumps(flavor.encode(), option=orjson.OPT_SORT_KEYS).decode(),
    }
    if parameters.identity:
        annotations[names.MANAGEMENT] = parameters.identity
    return {
        "apiVersion": names.VIRTUAL_MACHINES.api_version,
        "kind": names.VIRTUAL_MACHINES.kind,
        "metadata": {
            "name": names.machine_name(slot, uid),
            "namespace": parameters.namespace,
            "labels": {names.WORKLOAD_UID: request.workload_uid, names.SLOT_UID: uid},
            "annotations": annotations,
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
    """The merge patch that gives the machine its root disk and its first-boot disk; whether it is on stays as it is."""
    disks: list[Any] = [{"name": ROOT_DISK, "bootOrder": 1, "disk": {"bus": "virtio"}}, {"name": SEED_DISK, "disk": {"bus": "virtio"}}]
    if disk.container:
        root: Object = {"name": ROOT_DISK, "containerDisk": {"image": disk.container}}
    else:
        root = {"name": ROOT_DISK, "dataVolume": {"name": names.disk_name(name_of(vm), disk.digest)}}
    template = {"spec": {"domain": {"devices": {"disks": disks}}, "volumes": [root, seed_volume]}}
    image = orjson.dumps(disk.image, option=orjson.OPT_SORT_KEYS).decode()
    return {"metadata": {"annotations": {names.IMAGE: image, names.BOOTED: None}}, "spec": {"template": template}}


def data_volume(vm: Object, disk: RootDisk, size: str, parameters: Parameters) -> Object | None:
    """The DataVolume that imports the image, which goes when the VirtualMachine does; None for a container's.

    Not one of the VirtualMachine's dataVolumeTemplates: their schema lags behind, and drops checksums."""
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
    """The secret with the first-boot data, which goes when the VirtualMachine does."""
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
    """For what is to go when the VirtualMachine does."""
    owner = names.VIRTUAL_MACHINES
    return {"apiVersion": owner.api_version, "kind": owner.kind, "name": name_of(vm), "uid": uid_of(vm)}


def uninstall_patch() -> Object:
    """The merge patch that takes all disks out, before they are deleted."""
    return {
        "metadata": {"annotations": {names.IMAGE: None, names.BOOTED: None}},
        "spec": {"template": {"spec": {"domain": {"devices": {"disks": None}}, "volumes": None}}},
    }
