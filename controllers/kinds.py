"""Define the kinds of the management cluster that controllers use, as resources."""

from __future__ import annotations

from apiserver.apis.names import CLAIMED_THROUGH, FAILURE_DOMAIN, GROUP, IN_USE_FINALIZER, RELEASE_FINALIZER, TEMPLATE_REVISION, VERSION
from apiserver.client.client import Client
from apiserver.client.objects import Resource

__all__ = [
    "CLAIMED_THROUGH",
    "CLASSES",
    "FAILURE_DOMAIN",
    "GROUP",
    "HOSTS",
    "IN_USE_FINALIZER",
    "NAMESPACES",
    "RELEASE_FINALIZER",
    "RESERVATIONS",
    "SECRETS",
    "SETS",
    "TEMPLATE_REVISION",
    "USAGE",
    "VERSION",
    "WORKLOADS",
    "served_views",
    "views",
]

WORKLOADS = Resource(GROUP, VERSION, "workloads", "Workload")
RESERVATIONS = Resource(GROUP, VERSION, "reservations", "Reservation")
SETS = Resource(GROUP, VERSION, "workloadsets", "WorkloadSet")
CLASSES = Resource(GROUP, VERSION, "workloadclasses", "WorkloadClass", namespaced=False)
HOSTS = Resource(GROUP, VERSION, "hosts", "Host", namespaced=False)
USAGE = Resource(GROUP, VERSION, "usagerecords", "UsageRecord", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SECRETS = Resource("", "v1", "secrets", "Secret")


def views(group: str = "metal3.io") -> Resource:
    """Return the BareMetalHost view in the group under which this management cluster serves it."""
    return Resource(group, VERSION, "baremetalhosts", "BareMetalHost")


async def served_views(client: Client) -> Resource:
    """Return the view as a cluster serves it: in the project's own group if BMO has the other."""
    served = await client.request("GET", f"/apis/{GROUP}/{VERSION}")
    own = any(resource["name"] == "baremetalhosts" for resource in served.get("resources") or ())
    return views(GROUP if own else "metal3.io")
