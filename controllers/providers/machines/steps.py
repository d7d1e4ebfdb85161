"""Decide the next step for a Workload in its slot, from the machine and its desired state.

What is on a machine is removed before anything else is put on it, never both at once. Each step is
one write. So a crash between two steps leaves a state from which the next process continues.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from apiserver.client.objects import Object
from controllers.providers.machines.flavors import REBOOT, held_off
from controllers.providers.machines.instance import REBOOTED, REMOVING, Instance


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Describes the state that the Workload requests of its machine.

    `held`: nothing new may be put on the machine, and what is on it stays. `image`: the image that
    has to be on it, as it is reported; None: nothing. `boot`: the driver's own data for installing
    the image. `recorded`: whether a later process can tell a machine that was removed on purpose
    from one that vanished. `reserved`: whether a machine exists from the claim on, even if nothing
    is on it."""

    online: bool
    held: bool = False
    image: Object | None = None
    boot: Any = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    recorded: bool = True
    reserved: bool = False


class Step(Enum):
    """The steps, with their descriptions."""

    CREATE = "create a machine"
    INSTALL = "put the desired image on the empty machine"
    ERASE = "remove what is on the machine, in a cloud the machine with it"
    DISCARD = "remove a machine that never came up, once it is time for another try"
    START = "power on"
    STOP = "power off"
    REBOOT = "reboot once, and record it"
    NOTE_BOOTED = "record that the machine ran"
    NOTE_REMOVING = "record that what is on the machine is to be removed"
    FORGET_REBOOT = "remove the record of a reboot that is no longer requested"
    WAIT = "the source has to do something first"


LEAVING = {"shutting-down", "deleting"}
BUSY = {"pending", "stopping"}


def next_step(instance: Instance | None, desired: DesiredState) -> Step | None:
    """Return the next step; None if the machine has its desired state."""
    if instance is None:
        return Step.CREATE if desired.reserved or _installs(desired) else None
    if instance.state in LEAVING:
        return Step.WAIT
    if instance.state == "error" and not instance.booted:
        return Step.DISCARD
    if REMOVING in instance.tags:
        return _erase(desired)
    if instance.state in BUSY:
        return Step.WAIT
    if instance.state == "held":
        return None
    return _content(instance, desired) or _power(instance, desired) or _reboot(instance, desired)


def consumed_annotations(instance: Instance | None, desired: DesiredState) -> tuple[str, ...]:
    """Return the tenant's annotation for a single reboot after that reboot.

    A machine that is off needs no reboot."""
    if REBOOT not in desired.annotations:
        return ()
    done = instance is None or instance.state == "stopped" or (instance.rebooted and instance.state not in {"starting", "halting"})
    return (REBOOT,) if done else ()


def _installs(desired: DesiredState) -> bool:
    return desired.image is not None and desired.online and not desired.held


def _content(instance: Instance, desired: DesiredState) -> Step | None:
    """Replace what is on the machine, and record that it ran."""
    if instance.image is None:
        return Step.INSTALL if _installs(desired) else None
    if not desired.held and not _serves(instance, desired):
        # A failed machine accepts no tags. Its Workload's status shows that nothing runs.
        return _erase(desired) if instance.state == "error" else Step.NOTE_REMOVING
    return Step.NOTE_BOOTED if instance.state == "running" and not instance.booted else None


def _serves(instance: Instance, desired: DesiredState) -> bool:
    """Return whether the machine has the desired image.

    As in BMO, the URL identifies an image that has run. Before that, all fields are compared."""
    if instance.image is None or desired.image is None:
        return False
    return bool(instance.image["url"] == desired.image["url"] if instance.booted else instance.image == desired.image)


def _erase(desired: DesiredState) -> Step:
    return Step.ERASE if desired.recorded else Step.WAIT


def _power(instance: Instance, desired: DesiredState) -> Step | None:
    if desired.online and instance.image is not None and not held_off(desired.annotations):
        return Step.START if instance.state in {"stopped", "halting", "loose"} else None
    return Step.STOP if instance.state in {"running", "starting", "loose"} else None


def _reboot(instance: Instance, desired: DesiredState) -> Step | None:
    """Return the step for a requested reboot, or for a record of one that is no longer requested.

    The machine is rebooted at least once, because a crash may happen between the reboot and its
    record."""
    if REBOOT not in desired.annotations:
        return Step.FORGET_REBOOT if REBOOTED in instance.tags and instance.state != "error" else None
    return Step.REBOOT if instance.state in {"running", "starting", "error"} and not instance.rebooted else None
