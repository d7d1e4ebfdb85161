"""What is to be done next for a Workload in its slot. Pure: its instance and the wish go in, one step comes out.

An instance cannot be given another image: it is terminated, and another one made, never both at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from controllers.providers.cloud.instance import BOOTED, REBOOTED, REMOVING, Instance, installed
from controllers.providers.flavors import REBOOT, held_off

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Create", "Discard", "Reboot", "Start", "Step", "Stop", "Tag", "Terminate", "Untag", "Wait", "Wish", "consumed", "next_step"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the Workload wants. `held`: nothing new may be put on its machine. `image_url`: empty when nothing is to run.

    `recorded`: whether it would be known afterwards, by whoever goes on, that the machine was to go, and did not vanish."""

    online: bool
    held: bool = False
    image_url: str = ""
    image_id: str = ""
    user_data: bytes = b""
    annotations: Mapping[str, str] = field(default_factory=dict)
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class Create:
    """An instance is to be made."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """It is to go."""


@dataclass(frozen=True, slots=True)
class Discard:
    """It never came up, and is to go once it is time for another try."""


@dataclass(frozen=True, slots=True)
class Start:
    """Power on."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Power off."""


@dataclass(frozen=True, slots=True)
class Reboot:
    """Once; then `tag` is to be set."""

    tag: str = REBOOTED


@dataclass(frozen=True, slots=True)
class Tag:
    """This is to be noted."""

    key: str


@dataclass(frozen=True, slots=True)
class Untag:
    """This note is to be removed."""

    key: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The cloud has to do something first."""


Step: TypeAlias = "Create | Terminate | Discard | Start | Stop | Reboot | Tag | Untag | Wait | None"


def next_step(instance: Instance | None, wish: Wish) -> Step:
    """The next step; None when all is as wished."""
    if instance is None:
        return Create() if wish.image_url and wish.online and not wish.held else None
    if instance.state == "shutting-down":
        return Wait()
    if instance.state == "error" and BOOTED not in instance.tags:
        return Discard()
    if REMOVING in instance.tags:
        return Terminate() if wish.recorded else Wait()
    if instance.state in {"pending", "stopping"}:
        return Wait()
    if instance.state == "held":
        return None
    if not wish.held and installed(instance) != wish.image_url:
        return _replace(instance, wish)
    if instance.state == "running" and BOOTED not in instance.tags:
        return Tag(BOOTED)
    return _power(instance, wish) or _reboot(instance, wish)


def consumed(instance: Instance | None, wish: Wish) -> tuple[str, ...]:
    """The tenant's annotation for a single reboot, once that is done. A machine that is off has nothing to reboot."""
    if REBOOT not in wish.annotations:
        return ()
    done = instance is None or REBOOTED in instance.tags or instance.state == "stopped"
    return (REBOOT,) if done else ()


def _replace(instance: Instance, wish: Wish) -> Step:
    """It is noted first. A machine that has failed takes no notes: its Workload's status says that nothing runs."""
    if instance.state == "error":
        return Terminate() if wish.recorded else Wait()
    return Tag(REMOVING)


def _power(instance: Instance, wish: Wish) -> Step:
    if wish.online and not held_off(wish.annotations):
        return Start() if instance.state == "stopped" else None
    return Stop() if instance.state == "running" else None


def _reboot(instance: Instance, wish: Wish) -> Step:
    """At least once: between the reboot and its note everything may end."""
    if REBOOT not in wish.annotations:
        return Untag(REBOOTED) if REBOOTED in instance.tags and instance.state != "error" else None
    return Reboot() if instance.state in {"running", "error"} and REBOOTED not in instance.tags else None
