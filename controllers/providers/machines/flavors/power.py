"""Read what the annotations of a view request for the machine's power."""

from __future__ import annotations

from collections.abc import Iterable

from apiserver.apis.names import REBOOT


def held_off(annotations: Iterable[str]) -> bool:
    """Return whether an annotation keeps the power off: `reboot.metal3.io` with a suffix, while it
    exists."""
    return any(annotation.startswith(f"{REBOOT}/") for annotation in annotations)
