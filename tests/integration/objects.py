"""Provide objects that tenants write in these tests."""

from __future__ import annotations

from typing import Any

IMAGE = {
    "url": "https://images.example.com/os.qcow2",
    "checksum": "https://images.example.com/os.qcow2.sha256",
    "checksumType": "sha256",
    "format": "qcow2",
}


def secret(name: str, **data: str) -> dict[str, Any]:
    """Return a secret with first-boot configuration."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def workload(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Workload that runs IMAGE, unless `spec` overrides it; None omits a field."""
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": name},
        "spec": {key: value for key, value in {"image": IMAGE, **spec}.items() if value is not None},
    }
