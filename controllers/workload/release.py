"""End a Workload: release the host at its source, clear the claim, and remove the finalizer.

Each step is a separate write, and may be the last before a crash. The objects show which steps are
done.
"""

from __future__ import annotations

import logging

from apiserver.apis.workload import host_of
from apiserver.client.client import JSON_PATCH
from apiserver.client.clock import timestamp
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, key_of, name_of, namespace_of, typed
from controllers import kinds
from controllers.classaccess import reclaimed_as_allowed
from controllers.cluster import Cluster
from controllers.providers.base import Provider, ProviderError
from controllers.workload.request import apply_request, drops_mark
from controllers.workload.status import phase_of, releasing_status, unknown_source

log = logging.getLogger(__name__)


async def report_releasing(cluster: Cluster, workload: Object, message: str) -> None:
    """Report in the status what the release waits for."""
    await cluster.patch_status(kinds.WORKLOADS, workload, releasing_status(workload, message, timestamp()))


async def release(cluster: Cluster, workload: Object, host: Object, provider: Provider) -> str | None:
    """Return None when the host is released, otherwise what the release waits for."""
    if phase_of(workload) != "Deprovisioning":
        return "the host is being released"  # the event of this write queues the Workload again
    try:
        released = await provider.release(apply_request(cluster, _as_the_class_allows(cluster, workload, host), host))
    except ProviderError as error:
        log.warning("workload %s: %s", key_of(workload), error)
        return unknown_source().message
    except ApiException as error:
        if not error.conflict:
            await report_releasing(cluster, workload, unknown_source().message)
        raise
    if not released.done:
        return released.message
    if drops_mark(cluster, host):
        _report_dropped_mark(cluster, workload, host)
    return None


def _report_dropped_mark(cluster: Cluster, workload: Object, host: Object) -> None:
    """Send events to the tenant and the owner that a host which was marked as unhealthy is offered
    again."""
    message = "the mark as unhealthy ends with the claim: the class lets a namespace keep no more hosts out of service"
    for about in (typed(kinds.WORKLOADS, workload), typed(kinds.HOSTS, host)):
        cluster.events.event(about, "Warning", "UnhealthyMarkDropped", message)


def _as_the_class_allows(cluster: Cluster, workload: Object, host: Object) -> Object:
    """Return the Workload with the reclaimPolicy that its host's class allows."""
    return reclaimed_as_allowed(cluster.classes.store.get(host["spec"]["className"]), workload)


async def unbind(cluster: Cluster, workload: Object, host: Object) -> Object | None:
    """Clear the claim if it is still this Workload's, and return the resulting Host.

    The patch tests the claim and not the resourceVersion, because reports change the Host at any
    time."""
    uid = workload["metadata"]["uid"]
    patch = [{"op": "test", "path": "/spec/claimRef/uid", "value": uid}, {"op": "remove", "path": "/spec/claimRef"}]
    try:
        freed = await cluster.client.patch(kinds.HOSTS, name_of(host), patch, content_type=JSON_PATCH)
        log.info("workload %s: released host %s", key_of(workload), name_of(host))
        return freed
    except ApiException as error:
        if not (error.invalid or error.not_found):
            raise
        current = await cluster.client.find(kinds.HOSTS, name_of(host))
        if current is not None and (current["spec"].get("claimRef") or {}).get("uid") == uid:
            raise
        return current


async def remove_finalizer(cluster: Cluster, workload: Object) -> bool:
    """Remove our finalizer. Return False if the Workload has a host that the caches do not show
    yet."""
    current = await cluster.client.find(kinds.WORKLOADS, name_of(workload), namespace_of(workload))
    if current is None:
        return True
    finalizers = current["metadata"].get("finalizers") or []
    if current["metadata"]["uid"] != workload["metadata"]["uid"] or kinds.RELEASE_FINALIZER not in finalizers:
        return True
    # A binding sets status.host and the finalizer in one commit with the claim. Clearing the claim
    # clears status.host in one commit, too.
    if host_of(current):
        return False
    left = [finalizer for finalizer in finalizers if finalizer != kinds.RELEASE_FINALIZER]
    patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"], "finalizers": left}}
    await cluster.client.patch(kinds.WORKLOADS, name_of(workload), patch, namespace_of(workload))
    return True
