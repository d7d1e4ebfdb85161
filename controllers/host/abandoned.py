"""End abandoned claims: the claim's Workload is gone from the store, but never released its host.

The Host first reports the outcome by a condition and an event, and the owner has the grace period
of the class to decide otherwise. Then the host is deprovisioned, cleaned as its last Workload had
it cleaned, and its claim is cleared. The same happens when a Workload is deleted.

A claim and its Workload are written in one commit of one store. So a store that has the claim also
had the Workload, and a store that was lost or restored has neither. Its hosts are `Orphaned`, which
nothing here changes. A store that has lost most of its Workloads is damaged, and reclaims nothing.
The grace period starts again when the store looks sound again, or when the class stops keeping such
hosts. The owner always has the whole period after the condition says that the claim will end.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apiserver.client.clock import Clock, LoopClock, timestamp
from apiserver.client.objects import Object, name_of, typed
from controllers import kinds
from controllers.cluster import Cluster
from controllers.providers.base import Consumer, Provider, ProviderError
from controllers.runtime.conditions import condition, find_condition, set_conditions
from controllers.workload.release import unbind
from controllers.workload.request import apply_request

log = logging.getLogger(__name__)

ABANDONED = "Abandoned"
GRACE = 86400
FEW = 3
"""The number of abandoned claims from which on the store may have lost its Workloads."""
WATCHED = 3600
"""The seconds, or the grace period if it is shorter, for which one process must have watched an
abandoned claim before it ends the claim.

The grace period counts by the wall clock, because it outlives the process. A wall clock may jump,
and that of another replica may be wrong."""
_FREE = "if what runs there is no longer needed, clear spec.claimRef here, then {to_free}"


@dataclass(frozen=True, slots=True)
class Terms:
    """Say what becomes of an abandoned claim.

    `reason` is that of the condition. `grace` is the number of seconds until the claim ends, None
    if it does not end by itself. `message` tells the owner what to do."""

    reason: str
    message: str
    grace: int | None = None

    @property
    def sure(self) -> bool | None:
        """Return the status of the condition: None (unknown) in a store that looks damaged."""
        return None if self.reason == "StoreDamaged" else True


_KEPT = Terms("Kept", f"its class keeps such hosts as they are (reclaim.abandoned); to free it by hand, {_FREE}")
_DAMAGED = Terms(
    "StoreDamaged",
    "most claims have lost their Workloads at once, so that none is reclaimed: restore the store from a backup; without a backup, set "
    "reclaim.abandoned Keep in every class first, then clear spec.claimRef here, which changes nothing on the machine, and let "
    "`metal3-workloads recover` give the host back",
)


def terms_of(class_: Object | None, *, lost: bool) -> Terms:
    """Return when an abandoned claim of the class ends.

    `lost` is true if the store seems to have lost its Workloads."""
    rules = (class_ or {"spec": {}})["spec"].get("reclaim") or {}
    if lost:
        return _DAMAGED
    if class_ is None or rules.get("abandoned", "Reclaim") == "Keep":
        return _KEPT
    message = f"it is powered off, cleaned and offered again after {{due}}, unless its class has reclaim.abandoned Keep; before, {_FREE}"
    return Terms("WorkloadGone", message, int(rules.get("abandonedGracePeriodSeconds", GRACE)))


def looks_lost(cluster: Cluster) -> bool:
    """Return whether more than half of all claims have no Workload, which means that the store is
    damaged.

    A Workload that was created again under the same name is another one."""
    claims = [host["spec"]["claimRef"] for host in cluster.hosts.store if host["spec"].get("claimRef")]
    gone = sum(not _has_workload(cluster, claim) for claim in claims)
    return gone >= FEW and 2 * gone > len(claims)


def _has_workload(cluster: Cluster, claim: Object) -> bool:
    workload = cluster.workloads.store.get(f"{claim['namespace']}/{claim['name']}")
    return workload is not None and workload["metadata"].get("uid") == claim.get("uid")


def with_abandonment(status: Object, host: Object, terms: Terms | None, to_free: str) -> Object:
    """Return the status with the condition Abandoned, which says since when and what will happen.

    Without `terms` the claim is not abandoned. `to_free` is what the owner has to do at the
    source to free the host."""
    before = (host.get("status") or {}).get("conditions") or []
    if terms is None:
        kept = [item for item in before if item["type"] != ABANDONED]
        return {**status, "conditions": kept} if kept != before else status
    said = condition(ABANDONED, terms.sure, terms.reason, "")
    # The grace period counts from lastTransitionTime, so it starts again when the reason changes, and
    # when a clock was set back.
    now = timestamp()
    current = [item for item in before if item["type"] != ABANDONED or _counts(item, terms, now)]
    [*others, made] = _last(set_conditions(current, [said], now))
    due = timestamp(_due(made, terms.grace)) if terms.grace is not None else ""
    message = f"{status['message']}; {terms.message.format(due=due, to_free=to_free)}"
    return {**status, "message": message, "conditions": [*others, {**made, "message": message}]}


def _counts(said: Object, terms: Terms, now: str) -> bool:
    return bool(said["reason"] == terms.reason and said["lastTransitionTime"] <= now)


def _last(conditions: list[Object]) -> list[Object]:
    """Return the conditions with Abandoned as the last one."""
    return sorted(conditions, key=lambda item: item["type"] == ABANDONED)


def _due(said: Object, grace: int) -> datetime:
    return datetime.fromisoformat(said["lastTransitionTime"]) + timedelta(seconds=grace)


class AbandonedSince:
    """Measure for how long this process has seen each claim abandoned for its present reason.

    The clock is monotonic."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or LoopClock()
        self._first: dict[str, tuple[tuple[str, str], float]] = {}

    def seconds(self, host: Object, terms: Terms) -> float:
        """Return the seconds since the claim of the Host was first seen abandoned for this
        reason."""
        sight, now = (host["spec"]["claimRef"]["uid"], terms.reason), self._clock.time()
        known = self._first.get(name_of(host))
        if known is None or known[0] != sight:
            known = self._first[name_of(host)] = sight, now
        return now - known[1]

    def forget(self, name: str) -> None:
        """Forget a Host whose claim is not abandoned, or not known to be."""
        self._first.pop(name, None)


def wait_of(status: Object, terms: Terms, watched: float) -> float | None:
    """Return the seconds until the claim ends (0: now), or None if it does not end.

    `status` is the present status of the Host. `watched` says for how many seconds this process has
    seen the claim abandoned."""
    said = find_condition(status.get("conditions"), ABANDONED)
    if said is None or terms.grace is None:
        return None
    return max(0.0, (_due(said, terms.grace) - datetime.now(UTC)).total_seconds(), min(terms.grace, WATCHED) - watched)


async def reclaim(cluster: Cluster, host: Object, provider: Provider, consumer: Consumer | None) -> bool:
    """Remove from the host what the missing Workload ran, and clear the claim. Return whether both
    are done.

    If the real host names another consumer, such as a Workload of another management cluster, what
    runs there belongs to that consumer. Only the claim is cleared then."""
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
    another = consumer is not None and consumer.workload_uid != claim["uid"]
    try:
        done = another or (await provider.release(apply_request(cluster, workload, host))).done
    except ProviderError as error:
        log.warning("host %s: %s", name_of(host), error)
        return False
    if done:
        await unbind(cluster, workload, host)
        outcome = "another consumer has the real host and keeps it" if another else "the host is offered again"
        message = f"the claim of the workload {claim['namespace']}/{claim['name']}, which is gone, has ended: {outcome}"
        for about in (typed(kinds.HOSTS, host), workload):
            cluster.events.event(about, "Normal", "Reclaimed", message)
    return done
