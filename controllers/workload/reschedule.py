"""Reschedule a Workload whose host another management cluster has claimed on shared hardware.

A claim through the view ends instead: its Workload is deleted, and the claiming client chooses
another host.

A Workload is rescheduled only if the scheduler chose its host, and the binding is still Assumed:
nothing was written to the host. A host that the tenant named, claimed through the view or adopted
is never exchanged. Each step may be interrupted. First, the state of the binding becomes
Rescheduling, and the phase Pending. Then the source is checked for traces of the Workload. Then the
claim is cleared, and the Workload waits for a host.
"""

from __future__ import annotations

import logging

from apiserver.apis.names import ADOPTS
from apiserver.apis.workload import binding_state
from apiserver.client.clock import timestamp
from apiserver.client.objects import Object, annotations_of, key_of, labels_of, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.cluster import Cluster
from controllers.providers.base import Outcome, Provider, ProviderError
from controllers.runtime.conditions import condition
from controllers.workload.request import apply_request
from controllers.workload.stalled import workload_conditions

log = logging.getLogger(__name__)


def is_reschedulable(workload: Object) -> bool:
    """Return whether the Workload can be rescheduled: only the scheduler chose its host, and the
    source has not confirmed it."""
    if workload["spec"].get("hostRef") or kinds.CLAIMED_THROUGH in labels_of(workload) or ADOPTS in annotations_of(workload):
        return False
    return _assumed(workload)


def lost_claim(workload: Object) -> bool:
    """Return whether the Workload's claim through the view was lost before the host was taken.

    If another consumer has the host, the claim must end, because the claiming consumer would wait
    forever."""
    return kinds.CLAIMED_THROUGH in labels_of(workload) and ADOPTS not in annotations_of(workload) and _assumed(workload)


def _assumed(workload: Object) -> bool:
    return binding_state(workload.get("status")) == "Assumed"


def is_rescheduling(workload: Object) -> bool:
    """Return whether the Workload is being rescheduled."""
    return binding_state(workload.get("status")) == "Rescheduling"


def rescheduling_status(workload: Object, why: Outcome) -> Object:
    """Return the status that begins the rescheduling. `why` says why the host cannot be had."""
    generation = workload["metadata"].get("generation")
    message = f"the host that was chosen first cannot be had ({why.reason}): another one is looked for"
    conditions = [
        condition("Bound", False, why.reason, message, generation=generation),
        condition("Ready", False, why.reason, message, generation=generation),
    ]
    put = workload_conditions((workload.get("status") or {}).get("conditions"), conditions, timestamp(), final=False)
    return {"phase": "Pending", "observedGeneration": generation, "conditions": put, "binding": {"state": "Rescheduling"}}


async def reschedule(cluster: Cluster, workload: Object, host: Object, provider: Provider | None) -> bool:
    """Clear the claim of a Workload that is being rescheduled.

    Returns False if the source must be asked again first. Without a provider there is no source to
    ask, and nothing was found there when the rescheduling began."""
    if provider is not None:
        try:
            released = await provider.release(apply_request(cluster, workload, host))
        except ProviderError as error:
            log.warning("workload %s: %s", key_of(workload), error)
            return False
        if not released.done:
            return False
    await _clear_claim(cluster, workload, host)
    return True


async def _clear_claim(cluster: Cluster, workload: Object, host: Object) -> None:
    """Clear the claim if the Workload is still being rescheduled from exactly this host.

    The Host is read first: if the Workload got it again after the Workload was read, the Host would
    have changed."""
    current = await cluster.client.find(kinds.HOSTS, name_of(host))
    holder = await cluster.client.find(kinds.WORKLOADS, name_of(workload), namespace_of(workload))
    if current is None or holder is None:
        return
    claim = current["spec"].get("claimRef") or {}
    if not is_rescheduling(holder) or not claim.get("uid") == uid_of(holder) == uid_of(workload):
        return
    patch = {"metadata": {"resourceVersion": current["metadata"]["resourceVersion"]}, "spec": {"claimRef": None}}
    await cluster.client.patch(kinds.HOSTS, name_of(host), patch)
