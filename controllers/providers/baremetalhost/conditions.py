"""Compute which of a real host's conditions tenants see, and explain them in the tenant's terms.

Only listed types and reasons are shown. Messages are written here, because the operator's own
messages may contain the owner's data.
"""

from __future__ import annotations

import re

from apiserver.apis.hostconditions import HEALTHY, MANAGEABLE, PROVISIONED, READY, REASONS, TYPES, failed_attempts
from apiserver.client.objects import Object

OTHER_REASON = "Other"
"""The reason that replaces every reason that is not listed."""
BEHIND = 0
"""The observedGeneration of a condition that is about an earlier state of the real host's spec.

A condition that is up to date has none, because the real host's generation means nothing to a
tenant."""
STATUSES = ("True", "False", "Unknown")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

MESSAGES = {
    (HEALTHY, "Warning"): "the machine's own controller reports a warning: it runs on, and the hardware's owner can say what is wrong",
    (HEALTHY, "CriticalError"): "the machine's own controller reports a critical error: save what you need, and ask the hardware's owner",
    (MANAGEABLE, "PowerFailure"): "the hardware's owner has to look at it: its power cannot be controlled",
    (MANAGEABLE, "RegistrationFailed"): "the hardware's owner has to look at it: it cannot be managed at the moment",
    (READY, "Detached"): "the hardware's owner has detached the machine: nothing on it changes until they attach it again",
    (READY, "Servicing"): "the hardware's owner is servicing the machine",
}
"""The messages by type and reason. Other conditions have no message, as in BMO."""


def shown_conditions(bmh: Object, error: str) -> list[Object]:
    """Return the conditions to report, one for each type; none if the source reports none.

    `error` is the sentence that stands for the host's error message."""
    status, generation = bmh.get("status") or {}, bmh["metadata"].get("generation") or 0
    found = {item.get("type"): item for item in reversed(_conditions(status))}
    return [_shown(found[type_], status, generation, error) for type_ in TYPES if type_ in found]


def _conditions(status: Object) -> list[Object]:
    found = status.get("conditions") or []
    return [item for item in found if item.get("status") in STATUSES and TIME.fullmatch(str(item.get("lastTransitionTime")))]


def _shown(item: Object, status: Object, generation: int, error: str) -> Object:
    type_, reason = str(item["type"]), item.get("reason")
    shown: Object = {"type": type_, "status": item["status"], "lastTransitionTime": item["lastTransitionTime"]}
    shown["reason"] = reason if reason in REASONS[type_] else OTHER_REASON
    shown["message"] = _message(type_, item["status"], shown["reason"], status, error)
    if (item.get("observedGeneration") or generation) < generation:
        shown["observedGeneration"] = BEHIND
    return shown


def _message(type_: str, truth: str, reason: str, status: Object, error: str) -> str:
    if truth != "True" and type_ in (PROVISIONED, READY) and error:
        return error
    if truth != "True" and type_ == PROVISIONED:
        return failed_attempts(status)
    return MESSAGES.get((type_, reason), "") if truth != "True" else ""
