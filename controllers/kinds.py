"""The kinds of the management cluster that controllers work with, as resources; and the wording of their references."""

from __future__ import annotations

from apiserver.client.objects import Resource

GROUP, VERSION = "workload.metal3.io", "v1alpha1"

WORKLOADS = Resource(GROUP, VERSION, "workloads", "Workload")
CLASSES = Resource(GROUP, VERSION, "workloadclasses", "WorkloadClass", namespaced=False)
HOSTS = Resource(GROUP, VERSION, "hosts", "Host", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SECRETS = Resource("", "v1", "secrets", "Secret")

RELEASE_FINALIZER = f"{GROUP}/release"
"""Added to a Workload by its binding, and removed when its host is released."""

CLAIMED_THROUGH = f"{GROUP}/claimed-through"
"""Label of Workloads that the server made when their host was claimed through its view."""

IN_USE_FINALIZER = f"{GROUP}/class-in-use"
"""Blocks the deletion of a WorkloadClass while any of its hosts is claimed, because releasing a host needs the class."""

FAILURE_DOMAIN = "infrastructure.cluster.x-k8s.io/failure-domain"


def views(group: str = "metal3.io") -> Resource:
    """The BareMetalHost view, in the group that this management cluster serves it under."""
    return Resource(group, VERSION, "baremetalhosts", "BareMetalHost")
