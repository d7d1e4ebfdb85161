"""Read failures on demand: the annotation `simulator.metal3.io/fail: WHAT[:TIMES]` makes an
operation fail.

WHAT is registration, inspection, preparation, provisioning, deprovisioning or power; several are
separated by commas. With TIMES, the annotation counts down and is removed. Without TIMES, the
operation fails as long as the annotation exists.
"""

from __future__ import annotations

import re

ANNOTATION = "simulator.metal3.io/fail"
OPERATIONS = frozenset({"registration", "inspection", "preparation", "provisioning", "deprovisioning", "power"})


def demanded(value: str, operation: str) -> int | None:
    """Return how often the operation still has to fail: 0 for never, None for always.

    An unreadable value requests no failure."""
    for item in value.split(","):
        match = re.fullmatch(r"([a-z]+)(?::(\d{1,6}))?", item.strip())
        if match and match[1] == operation and operation in OPERATIONS:
            return None if match[2] is None else int(match[2])
    return 0


def countdown(value: str, operation: str) -> str | None:
    """Return the annotation's value with one failure of the operation less, or None if nothing is
    left."""
    left = []
    for item in value.split(","):
        name, _, times = item.strip().partition(":")
        if name == operation and times.isdigit():
            if int(times) > 1:
                left.append(f"{name}:{int(times) - 1}")
        else:
            left.append(item.strip())
    return ",".join(left) or None
