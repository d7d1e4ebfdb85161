"""Count the members of a gang: the Workloads of a namespace that get their hosts together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from apiserver.apis.workload import host_of
from apiserver.client.objects import Object, deleting


@dataclass(frozen=True, slots=True)
class GangCounts:
    """Count the members of a gang, those that have a host, and those that it needs at once."""

    members: int
    hosts: int
    needed: int

    @property
    def missing(self) -> int:
        """Return how many more members must get hosts at the same time."""
        return max(0, self.needed - self.hosts)


def gang_counts(members: Iterable[Object]) -> GangCounts:
    """Return the counts of a gang. Members that are being deleted do not count."""
    staying = [member for member in members if not deleting(member)]
    hosts = sum(has_host(member) for member in staying)
    return GangCounts(len(staying), hosts, max((member["spec"]["gang"]["minAvailable"] for member in staying), default=0))


def has_host(workload: Object) -> bool:
    """Return whether a host was chosen for the Workload."""
    return bool(host_of(workload))
