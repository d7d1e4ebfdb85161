"""Decide which marks (`capm3.metal3.io/unhealthy`) are passed to real hosts, where they outlive the
claim.

A mark makes a host unavailable to all until its owner has repaired it, so a class allows a
namespace only a few. Further marks end with the claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from apiserver.apis.names import UNHEALTHY
from apiserver.client.objects import Object, name_of


def is_mark(annotations: Mapping[str, str]) -> bool:
    """Return whether the annotations mark a host as unhealthy."""
    return any(key in annotations for key in UNHEALTHY)


def holder_of(host: Object) -> tuple[str, str]:
    """Return name and uid of the namespace that has the host or is charged for it, "" for none."""
    holder = host["spec"].get("claimRef") or host["spec"].get("chargedTo") or {}
    return str(holder.get("namespace") or ""), str(holder.get("namespaceUID") or "")


class Marks:
    """Remember the marks that were passed on, because the report that shows a mark may arrive only
    after the next decision."""

    def __init__(self) -> None:
        self._passed: dict[tuple[str, tuple[str, str]], frozenset[str]] = {}

    def keeps(self, host: Object, hosts: Iterable[Object], limit: int) -> bool:
        """Return whether the mark on the host's view is passed on.

        `hosts` are those of its namespace, including this one in its present state."""
        of = (str(host["spec"]["className"]), holder_of(host))
        marked = [other for other in hosts if (other["spec"]["className"], holder_of(other)) == of and _is_marked(other)]
        known = self._passed.get(of, frozenset()) & {name_of(other) for other in marked}
        chosen = _chosen(marked, known, limit)
        if name_of(host) in chosen:
            known |= {name_of(host)}
        self._passed.pop(of, None)
        if known & chosen:
            self._passed[of] = known & chosen
        return name_of(host) in chosen


def _chosen(marked: Iterable[Object], known: AbstractSet[str], limit: int) -> frozenset[str]:
    """Return the names of the hosts whose marks count. Hosts that bear the mark already come
    first."""
    order = sorted((not (_bears(host) or name_of(host) in known), name_of(host)) for host in marked if _may_count(host, known))
    return frozenset(name for _, name in order[:limit])


def _is_marked(host: Object) -> bool:
    if host["spec"].get("claimRef"):
        return is_mark((host["spec"].get("view") or {}).get("annotations") or {})
    return bool((host["spec"].get("chargedTo") or {}).get("unhealthy"))


def _may_count(host: Object, known: AbstractSet[str]) -> bool:
    """Return whether a returned host still bears its mark, or will be reported so."""
    return bool(host["spec"].get("claimRef")) or _bears(host) or name_of(host) in known


def _bears(host: Object) -> bool:
    report = (host.get("status") or {}).get("report") or {}
    return is_mark(report.get("annotations") or {})
