"""Failures on demand: the annotation `simulator.metal3.io/fail: WHAT[:TIMES]` on a host makes an operation fail. Pure.

WHAT is registration, inspection, preparation, provisioning, deprovisioning or power; several are separated by commas. With
TIMES it counts down to removal, without it fails until the annotation is gone.
"""

from __future__ import annotations

import re

__all__ = ["ANNOTATION", "OPERATIONS", "countdown", "demanded"]

ANNOTATION = "simulator.metal3.io/fail"
OPERATIONS = frozenset({"registration", "inspection", "preparation", "provisioning", "deprovisioning", "power"})


def demanded(value: str, operation: str) -> int | None:
    """How often the operation is still to fail: 0 not at all, None without end. What cannot be read demands nothing."""
    for item in value.split(","):
        match = re.fullmatch(r"([a-z]+)(?::(\d{1,6}))?", item.strip())
        if match and match[1] == operation and operation in OPERATIONS:
            return None if match[2] is None else int(match[2])
    return 0


def countdown(value: str, operation: str) -> str | None:
    """The annotation's value with one failure of the operation less, or None when nothing is left of it."""
    left = []
    for item in value.split(","):
        name, _, times = item.strip().partition(":")
        if name == operation and times.isdigit():
            if int(times) > 1:
                left.append(f"{name}:{int(times) - 1}")
        else:
            left.append(item.strip())
    return ",".join(left) or None
