"""Name the kinds and objects that the driver creates in the KubeVirt cluster.

SLOT_UID and WORKLOAD_UID are labels; the other tags of a machine are annotations. BOOTED names the
root disk that was seen running. REMOVING names the root disk that is being removed. REBOOTED holds
the uid of the instance that was ended by a reboot which is still requested.
"""

from __future__ import annotations

from apiserver.apis.names import QUARANTINED, WORKLOAD_UID
from apiserver.client.objects import Resource
from controllers.providers.machines.flavors import Slot
from controllers.providers.machines.instance import BOOTED, IMAGE, REMOVING, SLOT_UID

__all__ = [
    "BOOTED",
    "DATA_VOLUMES",
    "IMAGE",
    "INSTANCES",
    "QUARANTINED",
    "REMOVING",
    "SLOT_UID",
    "VIRTUAL_MACHINES",
    "VOLUME_CLAIMS",
    "WORKLOAD_UID",
    "disk_name",
    "machine_name",
    "secret_name",
]

VIRTUAL_MACHINES = Resource("kubevirt.io", "v1", "virtualmachines", "VirtualMachine")
INSTANCES = Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance")
DATA_VOLUMES = Resource("cdi.kubevirt.io", "v1beta1", "datavolumes", "DataVolume")
VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")


def machine_name(slot: Slot, uid: str) -> str:
    """Return the name of the VirtualMachine.

    It is readable, and different for slots of classes that share a namespace."""
    return f"{slot.flavor}-{slot.index}-{uid[:8]}"


def disk_name(machine: str, digest: str) -> str:
    """Return the name of a machine's DataVolume for the image with this digest."""
    return f"{machine}-{digest}"


def secret_name(workload_uid: str) -> str:
    """Return the name of the secret with a Workload's first-boot data."""
    return f"workload-{workload_uid}-boot"
