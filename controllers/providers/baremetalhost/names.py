"""Labels, annotations and names that this provider puts on, or reads from, real hosts and their secrets."""

from __future__ import annotations

import re

from apiserver.apis.names import DETACHED, GROUP, MANAGEMENT, PAUSED, QUARANTINED, REBOOT, UNHEALTHY, WORKLOAD_UID
from apiserver.client.objects import Resource

__all__ = [
    "BARE_METAL_HOSTS",
    "DETACHED",
    "DIRTY_FOR",
    "MANAGEMENT",
    "OURS",
    "PASSED",
    "PAUSED",
    "QUARANTINED",
    "REBOOT",
    "SECRETS",
    "SECRET_KINDS",
    "UNHEALTHY",
    "WORKLOAD_UID",
    "dirty_mark",
    "is_reboot",
    "parsed_mark",
    "secret_name",
]

BARE_METAL_HOSTS = Resource("metal3.io", "v1alpha1", "baremetalhosts", "BareMetalHost")
SECRETS = Resource("", "v1", "secrets", "Secret")

OURS = f"{GROUP}/"
PASSED = f"{OURS}passed-annotations"
"""Annotation of a claimed host: the tenant's annotations that were passed on, so that each is passed once."""
DIRTY_FOR = f"{OURS}dirty-for"
"""Annotation: disks were not wiped; only this namespace may have the host. "CLUSTER/NAMESPACE/UID", see dirty_mark."""

_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

SECRET_KINDS = {"userData": "userdata", "metaData": "metadata", "networkData": "networkdata"}


def secret_name(workload_uid: str, field: str) -> str:
    """The copied secret's name in the host's namespace: `workload-UID-userdata`."""
    return f"workload-{workload_uid}-{SECRET_KINDS[field]}"


def dirty_mark(cluster: str, namespace: str, namespace_uid: str) -> str:
    """The value of DIRTY_FOR. A later namespace of the same name has another uid. Without a uid the mark is nobody's."""
    return "/".join(part for part in (cluster, namespace, namespace_uid) if part)


def parsed_mark(value: str) -> tuple[str, str, str]:
    """Cluster, namespace and namespace's uid of a value of DIRTY_FOR. Earlier versions wrote no uid, and clusters may have no name. A mark
    without a uid whose namespace is named like one is read as one of another namespace: nobody gets the host by that."""
    rest, _, last = value.rpartition("/")
    if not _UID.fullmatch(last) or not rest:
        return rest, last, ""
    cluster, _, namespace = rest.rpartition("/")
    return cluster, namespace, last


def is_reboot(annotation: str) -> bool:
    """Whether the annotation asks for a reboot: `reboot.metal3.io`, alone or with a suffix."""
    return annotation == REBOOT or annotation.startswith(f"{REBOOT}/")
