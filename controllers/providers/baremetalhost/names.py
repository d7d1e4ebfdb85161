"""Labels, annotations and names that this provider puts on, or reads from, real hosts and their secrets."""

from __future__ import annotations

from apiserver.apis import metal3
from apiserver.client.objects import Resource

BARE_METAL_HOSTS = Resource("metal3.io", "v1alpha1", "baremetalhosts", "BareMetalHost")
SECRETS = Resource("", "v1", "secrets", "Secret")

OURS = "workload.metal3.io/"
WORKLOAD_UID = f"{OURS}workload-uid"
"""Label of a claimed host and of copied secrets: the Workload's uid. Unique over management clusters."""
MANAGEMENT = f"{OURS}management"
"""Annotation of a claimed host: the `identity` of the management cluster, for the owner to know whose it is."""
PASSED = f"{OURS}passed-annotations"
"""Annotation of a claimed host: the tenant's annotations that were passed on, so that each is passed once."""
DIRTY_FOR = f"{OURS}dirty-for"
"""Annotation: disks were not wiped; only this namespace may have the host."""
QUARANTINED = f"{OURS}quarantined"
"""Annotation: a Workload with reclaimPolicy Retain left the host as it was."""

PAUSED = "baremetalhost.metal3.io/paused"
DETACHED = "baremetalhost.metal3.io/detached"
REBOOT = "reboot.metal3.io"
UNHEALTHY = metal3.UNHEALTHY

SECRET_KINDS = {"userData": "userdata", "metaData": "metadata", "networkData": "networkdata"}


def secret_name(workload_uid: str, field: str) -> str:
    """The copied secret's name in the host's namespace: `workload-UID-userdata`."""
    return f"workload-{workload_uid}-{SECRET_KINDS[field]}"


def is_reboot(annotation: str) -> bool:
    """Whether the annotation asks for a reboot: `reboot.metal3.io`, alone or with a suffix."""
    return annotation == REBOOT or annotation.startswith(f"{REBOOT}/")
