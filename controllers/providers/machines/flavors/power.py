"""What a tenant's annotations on its view say of the power. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.apis.names import REBOOT

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["REBOOT", "held_off"]


def held_off(annotations: Iterable[str]) -> bool:
    """Whether one of them keeps the power off for as long as it is there: `reboot.metal3.io` with a suffix."""
    return any(annotation.startswith(f"{REBOOT}/") for annotation in annotations)
