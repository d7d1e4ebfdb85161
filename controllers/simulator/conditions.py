"""Compute a host's conditions from its state, as BMO's computeConditions does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from apiserver.apis.meta import Condition

if TYPE_CHECKING:
    from apiserver.apis.metal3 import BareMetalHostStatus

Answer = tuple[Literal["True", "False"], str]
TRUE: Literal["True"] = "True"
FALSE: Literal["False"] = "False"

# Manageable, AvailableForProvisioning, Provisioned, Ready, Progressing
UNMANAGED: tuple[Answer, ...] = (
    (FALSE, "NotManaged"),
    (FALSE, "NotAvailable"),
    (FALSE, "NotProvisioned"),
    (FALSE, "NotProvisioned"),
    (FALSE, "NotProgressing"),
)
AVAILABLE: tuple[Answer, ...] = (
    (TRUE, "Manageable"),
    (TRUE, "Available"),
    (FALSE, "NotProvisioned"),
    (FALSE, "NotProvisioned"),
    (FALSE, "NotProgressing"),
)
PROVISIONED: tuple[Answer, ...] = (
    (TRUE, "Manageable"),
    (FALSE, "NotAvailable"),
    (TRUE, "Provisioned"),
    (TRUE, "Provisioned"),
    (FALSE, "NotProgressing"),
)
TYPES = ("Manageable", "AvailableForProvisioning", "Provisioned", "Ready", "Progressing")
STEADY = {"": UNMANAGED, "unmanaged": UNMANAGED, "available": AVAILABLE, "ready": AVAILABLE}
STEADY |= {"provisioned": PROVISIONED, "externally provisioned": PROVISIONED}
BUSY = {
    "registering": "Registering",
    "inspecting": "Inspecting",
    "preparing": "Preparing",
    "provisioning": "Provisioning",
    "deprovisioning": "Deprovisioning",
    "powering off before delete": "PoweringOffBeforeDelete",
    "deleting": "Deleting",
}


def compute(status: BareMetalHostStatus, now: str) -> list[Condition]:
    """Return the conditions of a host with this status.

    `lastTransitionTime` stays as it is if the condition's status does."""
    answers = dict(zip(TYPES, _by_state(status), strict=True))
    answers |= _by_operation(status)
    answers["Healthy"] = (TRUE, "Healthy")
    before = {condition.type: condition for condition in status.conditions or ()}
    return [_condition(kind, answer, before.get(kind), now) for kind, answer in sorted(answers.items())]


def _by_state(status: BareMetalHostStatus) -> tuple[Answer, ...]:
    state = status.provisioning.state
    if steady := STEADY.get(state):
        return steady
    reason = BUSY.get(state, "Progressing")
    manageable: Answer = (TRUE, "Manageable")
    if state == "registering":
        manageable = (FALSE, "RegistrationFailed" if status.operational_status == "error" else "Registering")
    return (manageable, (FALSE, "NotAvailable"), (FALSE, "NotProvisioned"), (FALSE, "NotProvisioned"), (TRUE, reason))


def _by_operation(status: BareMetalHostStatus) -> dict[str, Answer]:
    match status.operational_status:
        case "error" if status.error_type == "power management error":
            return {"Ready": (FALSE, "Error"), "Manageable": (FALSE, "PowerFailure")}
        case "error":
            return {"Ready": (FALSE, "Error")}
        case "detached":
            return {"Ready": (FALSE, "Detached"), "Progressing": (FALSE, "Detached")}
    return {}


def _condition(kind: str, answer: Answer, before: Condition | None, now: str) -> Condition:
    status, reason = answer
    since = before.last_transition_time if before is not None and before.status == status else now
    return Condition(type=kind, status=status, reason=reason, message="", last_transition_time=since)
