"""What the tests apply, and how they read what comes back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IMAGE", "condition", "eventually", "secret", "workload"]

IMAGE = {"url": "https://images.example.com/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256", "format": "qcow2"}


def workload(name: str, *, namespace: str = "", **spec: Any) -> dict[str, Any]:
    """A Workload that runs something; in the user's own namespace unless said otherwise."""
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": {"image": IMAGE, **spec},
    }


def secret(name: str, **data: str) -> dict[str, Any]:
    """A Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def condition(obj: dict[str, Any], kind: str) -> tuple[str, str, str]:
    """(status, reason, message) of a condition; empty strings where it is not there."""
    for found in obj.get("status", {}).get("conditions") or []:
        if found["type"] == kind:
            return found["status"], found["reason"], found["message"]
    return "", "", ""


def eventually(check: Callable[[], None], *, seconds: float = 60.0) -> None:
    """Until the check passes; its own complaint when it does not in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)
