"""Derive the condition Stalled, by which kstatus (Flux, Helm, Argo CD) ends a wait.

Stalled is True while the Workload cannot progress until it, its class or its hardware is changed.
It disappears with its cause. A state that may still resolve by itself, such as waiting for a free
host or for a source, is not stalled.
"""

from __future__ import annotations

from collections.abc import Iterable

from apiserver.client.objects import Object
from controllers.runtime.conditions import find_condition, set_conditions

STALLED = "Stalled"
STALLING_REASONS = frozenset(
    {
        *("NoDefaultClass", "ClassNotFound", "ClassDeleting", "ClassGone", "NamespaceNotAllowed"),
        *("TooComplex", "HostOfOtherClass", "RetainNotAllowed", "ImageNotAllowed", "DeployMethodNotAllowed"),
        *("HostTaken", "HostTakenBack", "HostReleased", "HostGone", "HandedBack", "Lost"),
        *("SecretNotAllowed", "InvalidSecret", "UserDataTooLarge", "ChecksumMissing", "ChecksumUnsupported"),
        *("ImageUnsupported", "CustomDeployUnsupported", "ImageNotFound", "ImageUnknown", "Refused", "UpdateRefused"),
        "RetryLimitReached",
    }
)
"""The reasons of Bound, Synchronized and Ready that only a change resolves (docs/troubles.md lists
all)."""


def workload_conditions(current: Iterable[Object] | None, wanted: Iterable[Object], now: str, *, final: bool = True) -> list[Object]:
    """Return the Workload's conditions with the wanted ones set, and Stalled accordingly.

    `final` is False if the problem is being fixed, or if no client waits for the Workload to run.
    Stalled is then removed."""
    found = [item for item in set_conditions(current, wanted, now) if item["type"] != STALLED]
    cause = _cause(found) if final else None
    if cause is None:
        return found
    kept = [item for item in current or () if item["type"] == STALLED]
    return [*found, *set_conditions(kept, [_stalled(cause)], now)]


def _cause(conditions: list[Object]) -> Object | None:
    """Return the first condition whose reason only a change resolves, or None."""
    parts = [find_condition(conditions, type_) for type_ in ("Bound", "Synchronized", "Ready")]
    ready = parts[-1]
    if ready is None or ready["status"] == "True":
        return None
    return next((part for part in parts if part is not None and part["status"] == "False" and part["reason"] in STALLING_REASONS), None)


def _stalled(cause: Object) -> Object:
    """Return the condition Stalled with the reason of another condition."""
    kept: Object = {field: cause[field] for field in ("reason", "message", "observedGeneration") if field in cause}
    return {"type": STALLED, "status": "True", **kept}
