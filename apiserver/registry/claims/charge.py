"""Hosts that nobody else can have because of a namespace although none of its Workloads has them: whose quota goes on counting them. Pure.

A claim that is cleared leaves its charge behind (Host.spec.chargedTo), in the same commit. The charge ends with a report by which others
can have the host. In between nobody has to be quick, and nobody can lose it: what is counted is what is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apiserver.apis.metal3 import UNHEALTHY

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["charge_by_report", "charge_of", "takes_again"]


def charge_of(host: Mapping[str, Any], workload: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What stays of the host's claim when it is cleared. Nothing where its Workload goes on: the owner took the host back, or it gave up a
    host that it never had."""
    if workload is not None and "deletionTimestamp" not in workload["metadata"]:
        return None
    claim = host["spec"]["claimRef"]
    annotations = (host["spec"].get("view") or {}).get("annotations") or {}
    charge = {field: claim[field] for field in ("namespace", "name", "uid", "namespaceUID") if field in claim}
    return {**charge, "unhealthy": True} if any(key in annotations for key in UNHEALTHY) else charge


def charge_by_report(charge: dict[str, Any] | None, status: Mapping[str, Any]) -> dict[str, Any] | None:
    """What stays of a charge after a report on a host that nobody claims: none where others can have the host, and always the one of the
    namespace whose data the host holds. A report has the uid of that namespace only while it exists."""
    dirty = {"namespace": status.get("dirtyFor"), "namespaceUID": status.get("dirtyForUID")}
    if dirty["namespace"]:
        same = charge is not None and dirty.items() <= charge.items()
        return charge if same else dirty if dirty["namespaceUID"] else None
    return None if status.get("available") else charge


def takes_again(host: Mapping[str, Any], namespace: str) -> bool:
    """Whether the namespace, on whose account nobody else can have the host, could have it itself."""
    status = host.get("status") or {}
    return bool(status.get("available")) and status.get("dirtyFor") == namespace and "claimRef" not in host["spec"]
