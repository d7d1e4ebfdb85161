"""Decide when a namespace's quota stops counting a host that no Workload has (Host.spec.chargedTo).

The server begins a charge when a claim is cleared, and ends it with a report that others can have
the host. This module finds all other ends.
"""

from __future__ import annotations

from collections.abc import Callable

from apiserver.apis.metal3 import UNHEALTHY
from apiserver.client.objects import Object, uid_of
from controllers.providers.base import ProviderHost

TENANTS = ("Claimed", "NotReady", "Orphaned", "Quarantined", "Releasing")
"""The reasons in Host.status that a tenant may have caused on a host that it has left."""
PASSING = ("Claimed", "NotReady", "Releasing")
"""Those of TENANTS that end by themselves: the state of the host is not known yet."""

OF_QUOTAS = ("exceeded quota", "status unknown for quota")
"""The phrases in a refusal by quota admission."""


def is_of_quota(message: str) -> bool:
    """Return whether a refusal is about the namespace's quota, and not about the object."""
    return any(words in message for words in OF_QUOTAS)


def charge_key(host: Object) -> list[str]:
    """Return the key of the Workload that keeps the host from others."""
    charge = host["spec"].get("chargedTo") or {}
    return [f"{charge['namespace']}/{charge['name']}"] if charge.get("name") else []


def is_settling(host: Object, workload: Object) -> bool:
    """Return whether the Workload has just left the host.

    The Workload counts until a report says that others can have the host."""
    charge, status = host["spec"].get("chargedTo") or {}, host.get("status") or {}
    if charge.get("uid") != workload["metadata"]["uid"] or host["spec"].get("claimRef"):
        return False
    return not status.get("dirtyFor") and (bool(status.get("available")) or status.get("reason") in PASSING)


def is_over(host: Object, status: Object) -> bool:
    """Return whether an unchanged status must be written, because the server ends the charge on
    receipt.

    This is the case when the report came before the release."""
    charged = host["spec"].get("chargedTo") and not host["spec"].get("claimRef")
    return bool(charged) and bool(status.get("available")) and not status.get("dirtyFor")


def ends(host: Object, reported: ProviderHost, namespace: Callable[[str], Object | None] | None = None) -> bool:
    """Return whether the charge of the host ends.

    It ends when the host is out of use for a reason that is not the tenant's: the owner's will, a
    fault, or another consumer. `namespace(name)` returns the Namespace that has the name now, or
    None: a deleted namespace is not charged."""
    charge = host["spec"].get("chargedTo")
    if charge and not host["spec"].get("claimRef") and namespace is not None and _is_gone(charge, namespace(charge["namespace"])):
        return True
    if not charge or host["spec"].get("claimRef") or reported.available or reported.dirty_for:
        return False
    if charge.get("unhealthy") and any(key in (reported.report.get("annotations") or {}) for key in UNHEALTHY):
        return False
    if reported.consumer is not None:
        # one of our Workloads: the report is older than the release
        return not reported.consumer.workload_uid
    return bool(reported.reason) and reported.reason not in TENANTS


def _is_gone(charge: Object, namespace: Object | None) -> bool:
    return bool(charge.get("namespaceUID")) and (namespace is None or uid_of(namespace) != charge["namespaceUID"])
