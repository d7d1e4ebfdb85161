"""Define the labels, annotations and names that this provider writes to or reads from real hosts
and secrets."""

from __future__ import annotations

import re

from apiserver.apis.names import DETACHED, GROUP, IMAGE_AUTH, MANAGEMENT, PAUSED, QUARANTINED, REBOOT, UNHEALTHY, WORKLOAD_UID
from apiserver.client.objects import Resource

__all__ = [
    "ADOPTION",
    "BARE_METAL_HOSTS",
    "DETACHED",
    "DIRTY_FOR",
    "HANDED_BACK",
    "HARDWARE_DATA",
    "MANAGEMENT",
    "OURS",
    "PASSED",
    "PAUSED",
    "QUARANTINED",
    "REBOOT",
    "RECORD",
    "RECOVER",
    "SECRET_KINDS",
    "UNHEALTHY",
    "WORKLOAD_UID",
    "dirty_mark",
    "is_reboot",
    "parsed_mark",
    "secret_name",
]

BARE_METAL_HOSTS = Resource("metal3.io", "v1alpha1", "baremetalhosts", "BareMetalHost")
HARDWARE_DATA = Resource("metal3.io", "v1alpha1", "hardwaredata", "HardwareData")

OURS = f"{GROUP}/"
ADOPTION = f"{OURS}adoption"
"""An annotation that `adopt` puts on a host which its owner uses: the namespace that gets the host,
and the consumer that had it."""
HANDED_BACK = f"{OURS}handed-back"
"""An annotation of a host with the uids of the last Workloads that handed an adopted claim back,
separated by commas."""
PASSED = f"{OURS}passed-annotations"
"""An annotation of a claimed host that lists the tenant's annotations passed on, so each is passed
on once."""
RECORD = f"{OURS}record"
"""An annotation of a claimed host: its Workload as JSON, with the namespace's uid. `recover`
creates the Workload from it in a new store."""
RECOVER = f"{OURS}recover"
"""An annotation that `recover` puts on a host whose claim the store has lost: the uid of the lost
Workload. Its successor may take the host over."""
DIRTY_FOR = f"{OURS}dirty-for"
"""An annotation of a host whose disks were not wiped: only the namespace that it names may have
the host.

The value is "CLUSTER/NAMESPACE/UID"."""

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SECRET_KINDS = {"userData": "userdata", "metaData": "metadata", "networkData": "networkdata", IMAGE_AUTH: "registry"}


def secret_name(workload_uid: str, field: str) -> str:
    """Return the name of the copied secret in the host's namespace, such as
    `workload-UID-userdata`."""
    return f"workload-{workload_uid}-{SECRET_KINDS[field]}"


def dirty_mark(cluster: str, namespace: str, namespace_uid: str) -> str:
    """Return the value of DIRTY_FOR.

    A later namespace of the same name has another uid. A mark without a uid belongs to no
    namespace."""
    return "/".join(part for part in (cluster, namespace, namespace_uid) if part)


def parsed_mark(value: str) -> tuple[str, str, str]:
    """Return the cluster, the namespace and the namespace's uid of a value of DIRTY_FOR.

    Earlier versions wrote no uid, and the cluster may be empty. A mark without a uid is misread if
    the name of its namespace looks like a uid. In that case, no namespace gets the host."""
    rest, _, last = value.rpartition("/")
    if not _UID.fullmatch(last) or not rest:
        return rest, last, ""
    cluster, _, namespace = rest.rpartition("/")
    return cluster, namespace, last


def is_reboot(annotation: str) -> bool:
    """Return whether the annotation requests a reboot: `reboot.metal3.io`, alone or with a
    suffix."""
    return annotation == REBOOT or annotation.startswith(f"{REBOOT}/")
