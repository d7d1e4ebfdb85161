"""Count the members of a gang: the Workloads of a namespace that get their hosts together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from apiserver.client.objects import Object, deleting


@dataclass(frozen=True, slots=True)
class Standing:
    """How many members a gang has, how many of them have a host, and how many it needs at once."""

    members: int
    hosts: int
    needed: int

    @property
    def missing(self) -> int:
        """Return for how many more members there must be hosts before any of them gets one."""
        return max(0, self.needed - self.hosts)


def standing(members: Iterable[Object]) -> Standing:
    """Return how a gang stands. Members that are being deleted do not count."""
    staying = [member for member in members if not deleting(member)]
    hosts = sum(has_host(member) for member in staying)
    return Standing(len(staying), hosts, max((member["spec"]["gang"]["minAvailable"] for member in staying), default=0))


def has_host(workload: Object) -> bool:
    """Return whether a host was chosen for the Workload."""
    return bool((workload.get("status") or {}).get("host"))
