"""Compute a host's conditions from its state, as BMO's computeConditions does.

The annotation `simulator.metal3.io/health` sets the health that the BMC reports: `OK`, `Warning` or
`Critical`. Any other value simulates a BMC that does not report its health."""

from __future__ import annotations

from apiserver.apis.hostconditions import HEALTHY, MANAGEABLE, Answer, derived
from apiserver.apis.meta import Condition
from apiserver.apis.metal3 import BareMetalHostStatus

HEALTH = "simulator.metal3.io/health"
REPORTED: dict[str, Answer] = {
    "OK": ("True", "Healthy"),
    "Warning": ("False", "Warning"),
    "Critical": ("False", "CriticalError"),
}


def compute(status: BareMetalHostStatus, now: str, *, health: str = "OK", generation: int | None = None) -> list[Condition]:
    """Return the conditions of a host with this status.

    `lastTransitionTime` stays as it is if the condition's status does."""
    answers = derived(status.provisioning.state, status.operational_status)
    if (status.operational_status, status.error_type) == ("error", "power management error"):
        answers[MANAGEABLE] = ("False", "PowerFailure")
    answers[HEALTHY] = REPORTED.get(health, ("Unknown", "Unknown"))
    before = {condition.type: condition for condition in status.conditions or ()}
    return [_condition(kind, answer, before.get(kind), now, generation) for kind, answer in sorted(answers.items())]


def _condition(kind: str, answer: Answer, before: Condition | None, now: str, generation: int | None) -> Condition:
    status, reason = answer
    since = before.last_transition_time if before is not None and before.status == status else now
    return Condition(type=kind, status=status, reason=reason, message="", last_transition_time=since, observed_generation=generation)
