"""Limit the machines of a namespace by class, and by their CPUs and memory.

The limits are those of the management cluster's ResourceQuotas. The use is counted from the stored
objects while the write has its namespace's turn (see QuotaTurns). If another replica has added
anything to the namespace meanwhile, the commit fails and the write is decided again. So no charge
has to be refunded, and nothing has to be repaired after a crash. The quota's status is written
afterwards (see server.delegation.quotastatus).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, NamedTuple

from apiserver.admission.chargedhosts import target_of
from apiserver.admission.machinelimits import Limits, limits, refusal
from apiserver.admission.quotaturns import QuotaTurns
from apiserver.admission.resourcequota import Quotas, QuotaUnavailable, unknown
from apiserver.apis.status import forbidden
from apiserver.registry.claims.claims import Claims
from apiserver.registry.claims.quotacharges import can_take_again
from apiserver.registry.claims.quotausage import of_left, of_namespace, of_workload
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.entry import Entry


class _Change(NamedTuple):
    """The effect of a write: the hosts that do not count besides its Workload, the amounts that the
    Workload counts before the write, and the amounts that the write adds."""

    taken: Collection[str]
    before: Counter[str]
    adds: Counter[str]


def _adds(change: _Change, found: Limits) -> bool:
    """Return whether the write adds anything that is limited."""
    names = {name for hard in found.values() for name in hard}
    return any(name in names for name, amount in change.adds.items() if amount > 0)


class MachineQuota:
    """The Admission of quotas of machines.

    It comes before quotas of objects, which would otherwise be charged for a moment for writes that
    are refused here."""

    def __init__(self, quotas: Quotas, claims: Claims, turns: QuotaTurns) -> None:
        self._quotas, self._claims, self._turns = quotas, claims, turns

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Admit a write that adds machines, or larger ones, to the namespace. See Admission.

        Raises ApiError: 403 if it exceeds a quota, 503 if that cannot be checked."""
        if not self._may_add(attributes):
            return attributes.new
        self._turns.forget(attributes.context)
        try:
            found = limits(await self._quotas.get(attributes.namespace))
        except QuotaUnavailable as error:
            raise unknown(attributes.namespace, error) from None
        if found and _adds(self._change(attributes), found):
            if not attributes.context.dry_run:
                await self._turns.take(attributes.namespace, attributes.context)
            # Other writes may have changed the amounts while this write waited for its turn.
            why = self._refusal(attributes, found, self._change(attributes))
            if why is not None:
                resource = attributes.resource
                raise forbidden(resource.group, resource.plural, attributes.name, why)
        return attributes.new

    def _may_add(self, attributes: Attributes) -> bool:
        """Return whether the write is of a kind that can add anything."""
        if attributes.resource is not self._claims.workloads.resource:
            return False
        return attributes.subresource == "binding" or (not attributes.subresource and attributes.operation in ("CREATE", "UPDATE"))

    def _change(self, attributes: Attributes) -> _Change:
        """Return the effect of the write on the present amounts."""
        taken = self._taken(attributes)
        before = self._before(attributes, taken)
        adds = Counter(self._after(attributes))
        adds.subtract(before)
        return _Change(taken, before, adds)

    def _refusal(self, attributes: Attributes, found: Limits, change: _Change) -> str | None:
        """Return why the write exceeds a quota, or None."""
        used = of_namespace(self._claims, attributes.namespace, attributes.name, change.taken)
        return refusal(found, used + change.before, change.adds)

    def _before(self, attributes: Attributes, taken: Collection[str]) -> Counter[str]:
        """Return the amounts that the Workload counts before the write.

        A Workload without a host may have been admitted because it might take a host that counts
        already. So for each resource that such hosts count, the binding adds the Workload's whole
        amount."""
        old = attributes.old
        if attributes.operation == "UPDATE" and old is not None:
            return of_workload(old["spec"], self._claims.host_of_workload(old))
        if not attributes.subresource:
            return Counter()
        left = of_left(self._claims, attributes.namespace, taken)
        return Counter({name: amount for name, amount in of_workload(self._spec(attributes), None).items() if not left[name]})

    def _after(self, attributes: Attributes) -> Counter[str]:
        new = attributes.new or {}
        if attributes.operation == "UPDATE" and attributes.old is not None:
            return of_workload(new["spec"], self._claims.host_of_workload(attributes.old))
        target = self._target(attributes)
        return of_workload(self._spec(attributes) if attributes.subresource else new["spec"], target)

    def _spec(self, attributes: Attributes) -> dict[str, Any]:
        """Return the spec of the stored Workload."""
        known = self._claims.workloads.find(attributes.namespace, attributes.name)
        spec: dict[str, Any] = known.object()["spec"] if known is not None else {}
        return spec

    def _target(self, attributes: Attributes) -> Entry | None:
        """Return the Host that the write claims, if it is known."""
        name = target_of(self._claims, attributes)
        return self._claims.hosts.find("", name) if name else None

    def _taken(self, attributes: Attributes) -> set[str]:
        """Return the names of the Hosts that do not count in addition to the Workload.

        A Workload whose host is not known yet may get any host that the namespace left uncleaned.
        If it does not, the binding to another host is checked against the quota."""
        target = target_of(self._claims, attributes)
        if target is not None or attributes.operation == "UPDATE":
            return {target} if target else set()
        left = self._claims.hosts_without_workload(attributes.namespace)
        return {host.name for host in left if can_take_again(host.object(), attributes.namespace)}
