"""End abandoned claims: the claim's Workload is gone from the store, but never released its host.

The Host first reports the outcome by a condition and an event, and the owner has the grace period
of the class to decide otherwise. Then the host is deprovisioned and cleaned as its last Workload
had it cleaned, and the claim is cleared, as if the Workload had been deleted.

A claim and its Workload are written in one commit of one store. So a store that has the claim also
had the Workload, and a store that was lost or restored has neither: its hosts are `Orphaned`, which
nothing here changes. A store that has lost most of its Workloads is damaged, and reclaims nothing.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apiserver.client.clock import timestamp
from apiserver.client.objects import name_of
from controllers import kinds
from controllers.providers.base import ProviderError
from controllers.runtime.conditions import condition, find_condition, set_conditions
from controllers.workload.release import unbind
from controllers.workload.request import apply_request

if TYPE_CHECKING:
    from apiserver.client.objects import Object
    from controllers.cluster import Cluster
    from controllers.providers.base import Provider

__all__ = ["ABANDONED", "Terms", "looks_lost", "reclaim", "terms_of", "wait_of", "with_abandonment"]

log = logging.getLogger(__name__)

ABANDONED = "Abandoned"
GRACE = 86400
FEW = 3
"""The number of abandoned claims from which on the store may have lost its Workloads."""

Terms = int | str
"""The seconds until an abandoned claim ends, or the reason why it does not."""


def terms_of(class_: Object | None, *, lost: bool) -> Terms:
    """Return when an abandoned claim of the class ends.

    `lost` is true if the store seems to have lost its Workloads."""
    rules = (class_ or {"spec": {}})["spec"].get("reclaim") or {}
    if class_ is None or rules.get("abandoned", "Reclaim") == "Keep":
        return "its class keeps such hosts as they are (reclaim.abandoned)"
    if lost:
        return (
            "it is not reclaimed, because most claims have lost their Workloads at once: restore the store, or clear the claims of hosts "
            "that are not in use"
        )
    return int(rules.get("abandonedGracePeriodSeconds", GRACE))


def looks_lost(cluster: Cluster) -> bool:
    """Return whether more than half of all claims have no Workload, so that the store is at
    fault.

    A Workload that was created again under the same name is another one."""
    claims = [host["spec"]["claimRef"] for host in cluster.hosts.store if host["spec"].get("claimRef")]
    gone = sum(not _has_workload(cluster, claim) for claim in claims)
    return gone >= FEW and 2 * gone > len(claims)


def _has_workload(cluster: Cluster, claim: Object) -> bool:
    workload = cluster.workloads.store.get(f"{claim['namespace']}/{claim['name']}")
    return workload is not None and workload["metadata"].get("uid") == claim.get("uid")


def with_abandonment(status: Object, host: Object, terms: Terms | None) -> Object:
    """Return the status with the condition that the claim is abandoned, since when, and what will
    happen.

    Without `terms` the claim is not abandoned."""
    before = (host.get("status") or {}).get("conditions") or []
    if terms is None:
        kept = [item for item in before if item["type"] != ABANDONED]
        return {**status, "conditions": kept} if kept != before else status
    said = condition(ABANDONED, True, "WorkloadGone", "")
    [*others, made] = _last(set_conditions(before, [said], timestamp()))
    message = f"{status['message']}; {_outcome(made, terms)}"
    return {**status, "message": message, "conditions": [*others, {**made, "message": message}]}


def _last(conditions: list[Object]) -> list[Object]:
    """Return the conditions with Abandoned as the last one."""
    return sorted(conditions, key=lambda item: item["type"] == ABANDONED)


def _outcome(said: Object, terms: Terms) -> str:
    if isinstance(terms, str):
        return terms
    return f"it is powered off, cleaned and offered again after {timestamp(_due(said, terms))}, unless its class has reclaim.abandoned Keep"


def _due(said: Object, grace: int) -> datetime:
    return datetime.fromisoformat(said["lastTransitionTime"].replace("Z", "+00:00")) + timedelta(seconds=grace)


def wait_of(status: Object, terms: Terms) -> float | None:
    """Return the seconds until the claim ends (0: now), or None if it does not end.

    `status` is the present status of the Host."""
    said = find_condition(status.get("conditions"), ABANDONED)
    if said is None or isinstance(terms, str):
        return None
    return max(0.0, (_due(said, terms) - datetime.now(UTC)).total_seconds())


async def reclaim(cluster: Cluster, host: Object, provider: Provider) -> bool:
    """Remove what the gone Workload ran from the host, and clear the claim. Return whether that is
    done."""
    claim = host["spec"]["claimRef"]
    # Without a creationTimestamp, a claim without a namespace uid belongs to no namespace, so its
    # data stays inaccessible.
    meta = {"namespace": claim["namespace"], "name": claim["name"], "uid": claim["uid"]}
    workload: Object = {
        "apiVersion": kinds.WORKLOADS.api_version,
        "kind": "Workload",
        "metadata": meta,
        "spec": {"className": host["spec"]["className"], "online": False, "reclaimPolicy": "Delete"},
    }
    try:
        released = await provider.release(apply_request(cluster, workload, host))
    except ProviderError as error:
        log.warning("host %s: %s", name_of(host), error)
        return False
    if released.done:
        await unbind(cluster, workload, host)
        message = f"the claim of the workload {claim['namespace']}/{claim['name']}, which is gone, has ended: the host is offered again"
        for about in (_about(host), workload):
            cluster.events.event(about, "Normal", "Reclaimed", message)
    return released.done


def _about(host: Object) -> Object:
    return {**host, "apiVersion": kinds.HOSTS.api_version, "kind": "Host"}
