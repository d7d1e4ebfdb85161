"""Show a host's conditions in a view: those of its source, or those that follow from the state that
the view shows.

A source that knows no conditions, such as a cloud or an early Baremetal Operator, reports none.
"""

from __future__ import annotations

from typing import Any

from apiserver.apis.hostconditions import AVAILABLE, HEALTHY, MANAGEABLE, PROGRESSING, PROVISIONED, READY, TYPES, derived

OF_TENANTS = (AVAILABLE, PROGRESSING, PROVISIONED, READY)
"""The conditions that depend on a tenant's actions."""
UNSEEN = 0
"""The observedGeneration, in a report and until `complete`, of a condition that may be about an
earlier spec."""

Condition = dict[str, Any]


def shown(reported: dict[str, Any], *, settled: bool) -> list[Condition]:
    """Return the conditions of a host in the state that its source reports.

    `settled`: everything that the tenant wants was passed on to the source."""
    found = [dict(condition) for condition in reported.get("conditions") or ()]
    found = found or of_state(reported, reported["provisioning"].get("state") or "")
    return found if settled else [{**condition, "observedGeneration": UNSEEN} for condition in found]


def of_state(reported: dict[str, Any], state: str) -> list[Condition]:
    """Return the conditions of a host in another state than its source reports, or whose source
    reports none.

    The conditions Manageable and Healthy do not depend on the state. The times of transitions are
    not known."""
    answers = derived(state, reported.get("operationalStatus") or "")
    kept = {item["type"]: item for item in reported.get("conditions") or () if item["type"] in (MANAGEABLE, HEALTHY)}
    made = {type_: {"type": type_, "status": status, "reason": reason, "message": ""} for type_, (status, reason) in answers.items()}
    for type_ in (PROVISIONED, READY):
        if made[type_]["status"] == "False" and reported.get("errorMessage"):
            made[type_]["message"] = reported["errorMessage"]
    return [found for type_ in TYPES if (found := kept.get(type_) or made.get(type_)) is not None]


def of_gone(status: dict[str, Any]) -> list[Condition]:
    """Return the conditions of a host that its claimant has lost to another consumer."""
    answers = derived("", "error") | {MANAGEABLE: ("False", "NotManaged")}
    message = status["errorMessage"]
    found = ((type_, *answers[type_]) for type_ in TYPES if type_ in answers)
    return [{"type": type_, "status": truth, "reason": reason, "message": message} for type_, truth, reason in found]


def complete(view: dict[str, Any], old: dict[str, Any] | None, now: str) -> list[Condition]:
    """Return the conditions of a view with the view's generation and the times of their last
    transitions.

    A transition from before the view belongs to another tenant: it is shown as old as the view. A
    condition about an earlier spec keeps the generation that it was last seen for."""
    metadata = view["metadata"]
    before = {item["type"]: item for item in ((old or {}).get("status") or {}).get("conditions") or ()}
    return [
        {
            **condition,
            "observedGeneration": _observed(condition, before.get(condition["type"]), metadata["generation"]),
            "lastTransitionTime": _since(condition, before.get(condition["type"]), metadata["creationTimestamp"], now),
        }
        for condition in view["status"].get("conditions") or ()
    ]


def with_conditions(view: dict[str, Any]) -> dict[str, Any]:
    """Return the stored view with conditions, which earlier versions did not store.

    They have held at least since the source's last report, whose time is their transition time."""
    status, metadata = view.get("status") or {}, view["metadata"]
    if "conditions" in status or "provisioning" not in status:
        return view
    since = max(status.get("lastUpdated") or "", metadata.get("creationTimestamp") or "")
    found = of_state(status, status["provisioning"].get("state") or "")
    added = {"observedGeneration": metadata.get("generation", 1), "lastTransitionTime": since}
    return {**view, "status": {**status, "conditions": [{**condition, **added} for condition in found]}}


def _observed(condition: Condition, before: Condition | None, generation: int) -> int:
    if condition.get("observedGeneration") is None:
        return generation
    return int((before or {}).get("observedGeneration", generation - 1))


def _since(condition: Condition, before: Condition | None, created: str, now: str) -> str:
    reported: str | None = condition.get("lastTransitionTime")
    if reported is not None:
        return max(reported, created) if condition["type"] in OF_TENANTS else reported
    same = before is not None and before["status"] == condition["status"]
    return str(before["lastTransitionTime"]) if same and before is not None else now
