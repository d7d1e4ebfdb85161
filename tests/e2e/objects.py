"""Provide the objects that the tests apply, and read the results."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

IMAGE = {"url": "https://images.example.com/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256", "format": "qcow2"}


def workload(name: str, *, namespace: str = "", **spec: Any) -> dict[str, Any]:
    """Return a Workload that runs something; in the user's own namespace by default."""
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": {"image": IMAGE, **spec},
    }


def secret(name: str, **data: str) -> dict[str, Any]:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def condition(obj: dict[str, Any], kind: str) -> tuple[str, str, str]:
    """Return (status, reason, message) of a condition; empty strings if it does not exist."""
    for found in obj.get("status", {}).get("conditions") or []:
        if found["type"] == kind:
            return found["status"], found["reason"], found["message"]
    return "", "", ""


def expect_free(hosts: list[dict[str, Any]], count: int) -> None:
    """Check that so many hosts exist, and that all are available and offered."""
    found = [(host.get("status", {}).get("phase"), bool(host["spec"].get("offers"))) for host in hosts]
    assert found == [("Available", True)] * count


def eventually(check: Callable[[], None], *, seconds: float = 60.0) -> None:
    """Wait until the check passes. Raises the check's own error if it does not pass in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)
