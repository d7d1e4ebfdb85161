"""Kinds, labels, annotations and names of what this provider makes in the KubeVirt cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.apis.names import GROUP, MANAGEMENT, QUARANTINED, WORKLOAD_UID
from apiserver.client.objects import Resource

if TYPE_CHECKING:
    from controllers.providers.flavors import Slot

__all__ = [
    "BOOTED",
    "DATA_VOLUMES",
    "FLAVOR",
    "IMAGE",
    "INSTANCES",
    "MANAGEMENT",
    "OURS",
    "QUARANTINED",
    "REBOOTED",
    "REMOVING",
    "SECRETS",
    "SLOT",
    "SLOT_UID",
    "VIRTUAL_MACHINES",
    "VOLUME_CLAIMS",
    "WORKLOAD",
    "WORKLOAD_UID",
    "disk_name",
    "machine_name",
    "secret_name",
]

VIRTUAL_MACHINES = Resource("kubevirt.io", "v1", "virtualmachines", "VirtualMachine")
INSTANCES = Resource("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance")
DATA_VOLUMES = Resource("cdi.kubevirt.io", "v1beta1", "datavolumes", "DataVolume")
VOLUME_CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
SECRETS = Resource("", "v1", "secrets", "Secret")

OURS = f"{GROUP}/"
SLOT_UID = f"{OURS}slot-uid"
"""Label of VirtualMachines and their instances: the host's uid."""
SLOT = f"{OURS}slot"
"""Annotation of a VirtualMachine: FLAVOR/NUMBER."""
WORKLOAD = f"{OURS}workload"
"""Annotation of a VirtualMachine: NAMESPACE/NAME of the Workload, in its management cluster."""
FLAVOR = f"{OURS}flavor"
"""Annotation of a VirtualMachine: the flavor that it was made from, as JSON."""
IMAGE = f"{OURS}image"
"""Annotation of a VirtualMachine: the image that its root disk is made of, as JSON; missing without one."""
BOOTED = f"{OURS}booted"
"""Annotation of a VirtualMachine: the root disk that was seen running."""
REMOVING = f"{OURS}removing"
"""Annotation of a VirtualMachine: its root disk, which is being taken away."""
REBOOTED = f"{OURS}rebooted"
"""Annotation of a VirtualMachine: the uid of the instance that a reboot, still asked for, has ended."""


def machine_name(slot: Slot, uid: str) -> str:
    """The VirtualMachine's name: readable, and different for slots of classes that share a namespace."""
    return f"{slot.flavor}-{slot.index}-{uid[:8]}"


def disk_name(machine: str, digest: str) -> str:
    """The name of a machine's DataVolume for the image with this digest."""
    return f"{machine}-{digest}"


def secret_name(workload_uid: str) -> str:
    """The name of the secret with a Workload's first-boot data."""
    return f"workload-{workload_uid}-boot"
