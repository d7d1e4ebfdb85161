"""Hosts that a namespace's quota counts although no Workload has them (Host.spec.chargedTo): when that ends. Pure.

The server begins a charge when a claim is cleared, and ends it with a report that others can have the host. What else ends it is said here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.apis.metal3 import UNHEALTHY
from apiserver.client.objects import uid_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.client.objects import Object
    from controllers.providers.base import ProviderHost

__all__ = ["charge_key", "ends", "is_over", "is_settling"]

TENANTS = ("Claimed", "NotReady", "Orphaned", "Quarantined", "Releasing")
"""Reasons for which a host that a tenant has left may be out of use because of just that."""
PASSING = ("Claimed", "NotReady", "Releasing")
"""Those that end by themselves: what becomes of the host is not known yet."""


def charge_key(host: Object) -> list[str]:
    """The key of the Workload that left the host so that nobody else can have it."""
    charge = host["spec"].get("chargedTo") or {}
    return [f"{charge['namespace']}/{charge['name']}"] if charge.get("name") else []


def is_settling(host: Object, workload: Object) -> bool:
    """Whether the Workload has left the host just now: it counts until a report says that others can have it."""
    charge, status = host["spec"].get("chargedTo") or {}, host.get("status") or {}
    if charge.get("uid") != workload["metadata"]["uid"] or host["spec"].get("claimRef"):
        return False
    return not status.get("dirtyFor") and (bool(status.get("available")) or status.get("reason") in PASSING)


def is_over(host: Object, status: Object) -> bool:
    """Whether the server has to be told of a status that it knows, for it ends the charge: the report was quicker than the release."""
    charged = host["spec"].get("chargedTo") and not host["spec"].get("claimRef")
    return bool(charged) and bool(status.get("available")) and not status.get("dirtyFor")


def ends(host: Object, reported: ProviderHost, namespace: Callable[[str], Object | None] | None = None) -> bool:
    """Whether the host is out of use for a reason that is not the tenant's: its owner's will, a fault, or another consumer. `namespace`
    finds the one that has a name now: a namespace that is gone has no account."""
    charge = host["spec"].get("chargedTo")
    if charge and not host["spec"].get("claimRef") and namespace is not None and _is_gone(charge, namespace(charge["namespace"])):
        return True
    if not charge or host["spec"].get("claimRef") or reported.available or reported.dirty_for:
        return False
    if charge.get("unhealthy") and any(key in (reported.report.get("annotations") or {}) for key in UNHEALTHY):
        return False
    if reported.consumer is not None:
        return not reported.consumer.workload_uid  # one of ours: the report is of before the release
    return bool(reported.reason) and reported.reason not in TENANTS


def _is_gone(charge: Object, namespace: Object | None) -> bool:
    return bool(charge.get("namespaceUID")) and (namespace is None or uid_of(namespace) != charge["namespaceUID"])
