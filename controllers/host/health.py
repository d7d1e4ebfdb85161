"""Keep hosts whose BMC reports a problem from new Workloads, as their class says."""

from __future__ import annotations

from dataclasses import replace

from apiserver.apis.hostconditions import HEALTHY
from apiserver.apis.workloadclass import requires_healthy
from apiserver.client.objects import Object
from controllers.providers.base import ProviderHost
from controllers.runtime.conditions import find_condition

NOT_HEALTHY = "NotHealthy"
"""The reason of a free Host that is not offered because of its BMC's report.

`Unhealthy` is the mark of CAPM3's remediation."""


def health_of(host_status: Object) -> Object | None:
    """Return the condition Healthy that the host's source reports, or None."""
    return find_condition(((host_status.get("report") or {}).get("status") or {}).get("conditions"), HEALTHY)


def with_health(reported: ProviderHost, class_: Object | None) -> ProviderHost:
    """Return the report, changed to "not available" if the host is unhealthy and its class requires
    health.

    A host that is unavailable already keeps its reason. Unknown health is no reason."""
    health = health_of({"report": reported.report})
    if not reported.available or health is None or health["status"] != "False":
        return reported
    if not requires_healthy((class_ or {"spec": {}})["spec"]):
        return reported
    return replace(reported, available=False, reason=NOT_HEALTHY, message=_MESSAGE.format(reason=health["reason"]))


_MESSAGE = (
    "its BMC reports {reason} (condition Healthy of the real host): repair it, and it is offered when the BMC reports it as healthy; to "
    "offer such hosts, set offer.requireHealthy of its class to false"
)
