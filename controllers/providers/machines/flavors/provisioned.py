"""Decide whether a missing machine was never created, or was deleted without our knowledge.

Creating a deleted machine again would give the tenant an empty machine under the name of the one
that held its data. So a machine is created again only if nothing ever ran on it.
"""

from __future__ import annotations

from apiserver.client.objects import Object
from controllers.runtime.conditions import is_true

PROVISIONED = ("Running", "Stopped", "Lost")


def was_provisioned(workload: Object) -> bool:
    """Return whether the Workload's own status says that it had its machine.

    The status is from earlier reconciliations, possibly by another process."""
    status = workload.get("status") or {}
    return status.get("phase") in PROVISIONED or is_true(status.get("conditions"), "Provisioned")
