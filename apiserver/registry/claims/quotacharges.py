"""Charge hosts without a Workload to the namespace that keeps them from others.

The namespace's quota continues to count such hosts. A claim that is cleared leaves its charge
behind (Host.spec.chargedTo), in the same commit. The charge ends with a report that makes the host
available to other namespaces. Quotas count the stored charges, so neither a slow controller nor a
crash can lose one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiserver.apis.host import unavailable_reason
from apiserver.apis.metal3 import UNHEALTHY


def charge_of(host: Mapping[str, Any], workload: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the charge that remains when the host's claim is cleared, or None.

    No charge remains if the Workload continues. Then the owner took the host back, or the Workload
    gave up a host that it never had."""
    if workload is not None and "deletionTimestamp" not in workload["metadata"]:
        return None
    claim = host["spec"]["claimRef"]
    annotations = (host["spec"].get("view") or {}).get("annotations") or {}
    charge = {field: claim[field] for field in ("namespace", "name", "uid", "namespaceUID") if field in claim}
    return {**charge, "unhealthy": True} if any(key in annotations for key in UNHEALTHY) else charge


def charge_by_report(charge: dict[str, Any] | None, status: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the charge that remains after a report on an unclaimed host, or None.

    No charge remains if other namespaces can have the host. The namespace whose data is on the host
    is always charged while it exists. A report has the uid of that namespace only until then."""
    dirty = {"namespace": status.get("dirtyFor"), "namespaceUID": status.get("dirtyForUID")}
    if dirty["namespace"]:
        same = charge is not None and dirty.items() <= charge.items()
        return charge if same else dirty if dirty["namespaceUID"] else None
    return None if status.get("available") else charge


def can_take_again(host: Mapping[str, Any], namespace: str) -> bool:
    """Return whether the namespace could have the host that it keeps from others."""
    return unavailable_reason(host) is None and host["status"].get("dirtyFor") == namespace
