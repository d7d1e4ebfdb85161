"""Whether a machine that is not there was never made, or was deleted behind our back. Pure.

Making it again would hand the tenant an empty machine under the name of the one that held its data; so that is only
done before anything ran on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controllers.runtime.conditions import is_true

if TYPE_CHECKING:
    from apiserver.client.objects import Object

__all__ = ["once_made"]

MADE = ("Running", "Stopped", "Lost")


def once_made(workload: Object) -> bool:
    """Whether the Workload's own status (of earlier reconciliations, maybe by another process) says that it had its machine."""
    status = workload.get("status") or {}
    return status.get("phase") in MADE or is_true(status.get("conditions"), "Provisioned")
