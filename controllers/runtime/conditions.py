"""Process metav1 Conditions as lists of plain dicts. Functions return new lists and change none."""

from __future__ import annotations

from collections.abc import Iterable

from apiserver.client.objects import Object


def condition(type_: str, status: bool | None, reason: str, message: str, *, generation: int | None = None) -> Object:
    """Return a condition without lastTransitionTime. The status None means Unknown."""
    text = {True: "True", False: "False", None: "Unknown"}[status]
    made: Object = {"type": type_, "status": text, "reason": reason, "message": message}
    if generation is not None:
        made["observedGeneration"] = generation
    return made


def find_condition(conditions: Iterable[Object] | None, type_: str) -> Object | None:
    """Return the condition of this type, or None."""
    return next((item for item in conditions or () if item["type"] == type_), None)


def is_true(conditions: Iterable[Object] | None, type_: str) -> bool:
    """Return whether the condition of this type exists and is True."""
    found = find_condition(conditions, type_)
    return found is not None and found["status"] == "True"


def set_conditions(current: Iterable[Object] | None, wanted: Iterable[Object], now: str) -> list[Object]:
    """Return the current conditions with the wanted ones set, in a stable order.

    lastTransitionTime becomes `now` if the status changes, and stays otherwise. So equal input
    yields equal output."""
    result = {item["type"]: item for item in current or ()}
    for item in wanted:
        old = result.get(item["type"])
        kept = old is not None and old["status"] == item["status"] and old.get("lastTransitionTime")
        result[item["type"]] = {**item, "lastTransitionTime": kept or now}
    return list(result.values())
