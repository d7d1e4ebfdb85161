"""Make sets and members in every state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controllers.workloadset.members import new_member

Object = dict[str, Any]

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
EARLIER = "2026-01-01T11:00:00Z"
IMAGE = {"url": "http://images.example/1", "checksum": "0"}
OTHER = {"url": "http://images.example/2", "checksum": "0"}


def set_(replicas: int = 3, *, template: Object | None = None, **spec: Any) -> Object:
    """Return a set as it is stored."""
    return {
        "metadata": {"name": "db", "namespace": "a", "uid": "set-uid", "generation": 2, "resourceVersion": "7"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"image": IMAGE, "online": True, **(template or {})}},
            **spec,
        },
    }


def rolling(replicas: int = 3, most: int = 1, **more: Any) -> Object:
    """Return a set whose owner consents to updates."""
    return set_(replicas, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most}}, **more)


def member(of: Object, number: int, *, phase: str = "Running", since: str = EARLIER, reason: str = "", **status: Any) -> Object:
    """Return a member as the set makes it, in a phase."""
    made = new_member(of, number)
    made["metadata"] |= {"uid": f"uid-{number}", "generation": 1, "resourceVersion": str(100 + number)}
    provisioned = phase in ("Running", "Stopped")
    conditions = [
        {"type": "Provisioned", "status": str(provisioned), "reason": "x", "message": "", "lastTransitionTime": since},
        {"type": "Ready", "status": str(phase == "Running"), "reason": reason or phase, "message": "so", "lastTransitionTime": since},
    ]
    if phase != "Pending":
        status = {"host": {"name": f"host-{number}"}, **status}
    made["status"] = {"phase": phase, "observedGeneration": 1, "conditions": conditions, **status}
    return made


def changed(of: Object, **template: Any) -> Object:
    """Return the set with another template."""
    spec = {key: value for key, value in {**of["spec"]["template"]["spec"], **template}.items() if value is not None}
    return {**of, "spec": {**of["spec"], "template": {**of["spec"]["template"], "spec": spec}}}
