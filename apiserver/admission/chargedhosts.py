"""Count hosts that a namespace holds without a Workload against its quota of Workloads.

A quota of N Workloads is thereby a quota of N hosts."""

from __future__ import annotations

from typing import Any

from apiserver.registry.claims.claims import Claims
from apiserver.registry.claims.projection import host_of
from apiserver.registry.claims.quotacharges import can_take_again
from apiserver.registry.generic.attributes import Attributes


class ChargedHosts:
    """Counts the hosts that quotas count in addition to Workloads (see ResourceQuota)."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    def count(self, attributes: Attributes) -> int:
        """Return the number of hosts to count besides the Workloads for this write.

        The host that the write claims counts as its Workload. If no host is known yet, hosts that
        the namespace left uncleaned do not count, because the Workload may get one of them again.
        If it does not, the binding to another host is checked against the quota."""
        if attributes.resource is not self._claims.workloads.resource:
            return 0
        hosts = self._claims.hosts_without_workload(attributes.namespace)
        if not hosts:
            return 0
        target = target_of(self._claims, attributes)
        if target is not None:
            return sum(host.name != target for host in hosts)
        return sum(not can_take_again(host.object(), attributes.namespace) for host in hosts)


def target_of(claims: Claims, attributes: Attributes) -> str | None:
    """Return the name of the Host that the write is about, or None."""
    new = attributes.new or {}
    if attributes.subresource:
        return str((new.get("target") or {}).get("name") or "")
    name = (_spec(new).get("hostRef") or {}).get("name")
    view = claims.views.find(attributes.namespace, name) if name else None
    return host_of(view.object()) if view is not None else None


def _spec(obj: dict[str, Any]) -> dict[str, Any]:
    spec = obj.get("spec")
    return spec if isinstance(spec, dict) else {}
