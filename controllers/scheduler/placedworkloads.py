"""Record on which hosts the Workloads of a namespace are, or are about to be.

Everything is derived from Hosts and Workloads, so that a restarted scheduler decides as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from apiserver.client.indexer import Store
from apiserver.client.objects import Object, name_of, namespace_of, uid_of
from controllers.scheduler.placementrules import Placed, counts_others


class PlacedWorkloads:
    """Maps the uids of Workloads to their hosts."""

    def __init__(self, workloads: Store) -> None:
        """Follow the Workloads of a store with the index "apart"."""
        self._workloads = workloads
        self._labels: dict[str, Mapping[str, str]] = {}
        self._host: dict[str, str] = {}

    def update(self, old: Object | None, new: Object | None) -> bool:
        """Process a Host's change. Return whether a Workload is in other domains because of it."""
        before, after = _claim_uid(old), _claim_uid(new)
        name = name_of(new or old or {})
        if before and before != after and self._host.get(before) == name:
            del self._host[before]
        if after:
            self._host[after] = name
        moved = self._labels.get(name)
        if new is None:
            self._labels.pop(name, None)
        else:
            self._labels[name] = ((new.get("status") or {}).get("report") or {}).get("labels") or {}
        return bool(after) and moved != self._labels.get(name)

    def assume(self, workload: Object, host: str) -> None:
        """Count the Workload on a host that it is about to have."""
        self._host[uid_of(workload)] = host

    def forget(self, workload: Object, host: str | None = None) -> None:
        """Stop counting a Workload that did not get the host, or is gone."""
        if host is None or self._host.get(uid_of(workload)) == host:
            self._host.pop(uid_of(workload), None)

    def has_rules(self, workload: Object) -> bool:
        """Return whether any rule says where the Workload may or should be."""
        return bool(workload["spec"].get("placement")) or self._workloads.has("apart", namespace_of(workload))

    def keeps_apart(self, workloads: Iterable[Object]) -> bool:
        """Return whether another Workload keeps one of these away by its anti-affinity."""
        return any(self._workloads.has("apart", namespace) for namespace in {namespace_of(one) for one in workloads})

    def neighbours(self, workload: Object) -> list[Placed]:
        """Return the other Workloads of its namespace on which the Workload's placement depends. If
        its own placement counts no others, these are the Workloads whose anti-affinity may keep it
        away."""
        index = "namespace" if counts_others(workload) else "apart"
        return [
            Placed(other, self._labels[host])
            for other in self._workloads.by_index(index, namespace_of(workload))
            if (host := self._host.get(uid_of(other), "")) in self._labels and uid_of(other) != uid_of(workload)
        ]


def _claim_uid(host: Object | None) -> str:
    claim = host["spec"].get("claimRef") if host is not None else None
    return str(claim["uid"]) if claim else ""
