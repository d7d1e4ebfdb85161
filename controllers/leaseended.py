"""Write and read the condition LeaseEnded of WorkloadSets, which keeps a set from creating members
again whose leases have ended.

Otherwise, a set would replace such a member at once, and never give its machine back. The condition
is written to the set before the member is deleted. From then on, the set creates no members until
its spec changes.
"""

from __future__ import annotations

from apiserver.client.clock import timestamp
from apiserver.client.objects import Object, name_of, namespace_of, uid_of
from controllers import kinds
from controllers.cluster import Cluster
from controllers.owners import controlling_set
from controllers.runtime.conditions import condition, find_condition, set_conditions

LEASE_ENDED = "LeaseEnded"


def leases_ended(set_: Object) -> Object | None:
    """Return the condition LeaseEnded if it keeps the set from creating members, else None.

    It does so until the set's spec changes: then its generation differs from the condition's."""
    found = find_condition((set_.get("status") or {}).get("conditions"), LEASE_ENDED)
    current = found is not None and found.get("observedGeneration") == set_["metadata"].get("generation")
    return found if current else None


async def end_leases(cluster: Cluster, member: Object) -> None:
    """Write LeaseEnded to the set that controls the Workload whose lease has ended, if a set
    does."""
    owner = controlling_set(member)
    set_ = await cluster.client.find(kinds.SETS, owner["name"], namespace_of(member)) if owner is not None else None
    if owner is None or set_ is None or uid_of(set_) != owner["uid"] or leases_ended(set_) is not None:
        return
    text = f"the lease of {name_of(member)} has ended: members that are gone are not created again before spec is changed"
    said = condition(LEASE_ENDED, True, LEASE_ENDED, text, generation=set_["metadata"].get("generation"))
    before = (set_.get("status") or {}).get("conditions")
    await cluster.patch_status(kinds.SETS, set_, {"conditions": set_conditions(before, [said], timestamp())})
