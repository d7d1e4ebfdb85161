"""Name the conditions of a BareMetalHost as the Baremetal Operator does, and derive them from its
state.

The operator reports them since 0.13. Sources without it, such as clouds, report none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Answer = tuple[Literal["True", "False", "Unknown"], str]
"""A condition's status and reason."""

MANAGEABLE, AVAILABLE, PROVISIONED = "Manageable", "AvailableForProvisioning", "Provisioned"
READY, PROGRESSING, HEALTHY = "Ready", "Progressing", "Healthy"
TYPES = (AVAILABLE, HEALTHY, MANAGEABLE, PROGRESSING, PROVISIONED, READY)
"""The six conditions, in the order in which they are shown."""

BUSY = {
    "registering": "Registering",
    "inspecting": "Inspecting",
    "match profile": "Inspecting",
    "preparing": "Preparing",
    "provisioning": "Provisioning",
    "deprovisioning": "Deprovisioning",
    "powering off before delete": "PoweringOffBeforeDelete",
    "deleting": "Deleting",
}
UNMANAGED, FREE, RUNNING = ("", "unmanaged"), ("ready", "available"), ("provisioned", "externally provisioned")
REASONS = {
    MANAGEABLE: ("Manageable", "NotManaged", "Registering", "RegistrationFailed", "PowerFailure"),
    AVAILABLE: ("Available", "NotAvailable", "NotManageableReason", "Inspecting"),
    PROVISIONED: ("Provisioned", "NotProvisioned", "Provisioning"),
    READY: ("Provisioned", "NotProvisioned", "Error", "Detached", "Servicing"),
    PROGRESSING: (*dict.fromkeys(BUSY.values()), "NotProgressing", "Detached"),
    HEALTHY: ("Healthy", "Unknown", "Warning", "CriticalError"),
}
"""The reasons that the operator is known to give, by type."""


def derived(state: str, operational_status: str = "") -> dict[str, Answer]:
    """Return the conditions that follow from a host's state, as computeConditions of BMO does.

    Only the BMC knows whether the host is Healthy, so that this condition is not derived."""
    found = _by_state(state, operational_status)
    match operational_status:
        case "error":
            found[READY] = ("False", "Error")
        case "servicing":
            found[READY] = ("False", "Servicing")
        case "detached":
            found |= {READY: ("False", "Detached"), PROGRESSING: ("False", "Detached")}
    return found


def _by_state(state: str, operational_status: str) -> dict[str, Answer]:
    found: dict[str, Answer] = {
        MANAGEABLE: ("True", "Manageable"),
        AVAILABLE: ("False", "NotAvailable"),
        PROVISIONED: ("False", "NotProvisioned"),
        READY: ("False", "NotProvisioned"),
        PROGRESSING: ("False", "NotProgressing"),
    }
    if state in UNMANAGED:
        found[MANAGEABLE] = ("False", "NotManaged")
    elif state in FREE:
        found[AVAILABLE] = ("True", "Available")
    elif state in RUNNING:
        found |= {PROVISIONED: ("True", "Provisioned"), READY: ("True", "Provisioned")}
    elif state in BUSY:
        found[PROGRESSING] = ("True", BUSY[state])
    if state == "registering":
        found[MANAGEABLE] = ("False", "RegistrationFailed" if operational_status == "error" else "Registering")
    return found


NOT_TRIED_AGAIN = "is not tried again: set another image, or remove the image and set it again"
MOST_ATTEMPTS = 1000
"""The largest number of attempts that a message states."""


def gave_up(status: Mapping[str, Any]) -> bool:
    """Return whether the operator has reached its limit of attempts, and waits for another image.

    Only the text of the error says so: the operator's own, or ours after a report has replaced
    it."""
    said = str(status.get("errorMessage") or "")
    return status.get("errorType") == "provisioning error" and ("retry limit" in said or NOT_TRIED_AGAIN in said)


def failed_attempts(status: Mapping[str, Any]) -> str:
    """Return how many installations in a row have failed, and whether another one is tried.

    Returns "" if none has failed, or the operator does not count them. The operator counts an
    attempt when the host leaves the state `provisioning`."""
    counted, state = status.get("provisioningFailCount"), (status.get("provisioning") or {}).get("state")
    uncounted = state == "provisioning" and status.get("errorType") == "provisioning error"
    failed = counted + uncounted if isinstance(counted, int) and counted >= 0 else 0
    if gave_up(status):
        return f"it has failed{_times(failed)} and {NOT_TRIED_AGAIN}"
    return f"it has failed{_times(failed)}, and is tried again" if failed else ""


def _times(failed: int) -> str:
    if failed < 2:
        return " once" if failed else ""
    return f" {min(failed, MOST_ATTEMPTS)} times in a row"
