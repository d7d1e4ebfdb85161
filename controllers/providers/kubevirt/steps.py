"""What is to be done next with a claimed VirtualMachine. Pure: the machine, its instance and the wish go in, one step comes out.

A root disk is replaced as BMO deprovisions a host, and never both at once: power off, take the disk out, delete it, put the new one in.
Each step is one write, so that everything may be ended in between and found again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from apiserver.client.objects import annotations_of, uid_of
from controllers.providers.flavors import REBOOT, held_off
from controllers.providers.kubevirt import names
from controllers.providers.kubevirt.images import image_digest
from controllers.providers.kubevirt.manifest import HALTED, RUNNING, install_patch, uninstall_patch
from controllers.providers.kubevirt.report import installed_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apiserver.client.objects import Object
    from controllers.providers.kubevirt.images import RootDisk

__all__ = ["DeleteDisk", "EndInstance", "Install", "Patch", "Step", "Wait", "Wish", "consumed", "is_running", "next_step"]

NO_DISK = "none"


@dataclass(frozen=True, slots=True)
class Patch:
    """A merge patch of the VirtualMachine, to be written under its resourceVersion."""

    body: Object


@dataclass(frozen=True, slots=True)
class Install:
    """The wish's disk is to be made, if it is a volume; then `then` is to be written, which puts it into the machine."""

    disk: RootDisk
    then: Patch


@dataclass(frozen=True, slots=True)
class EndInstance:
    """The running instance with this uid is to be deleted: KubeVirt starts the machine anew."""

    uid: str


@dataclass(frozen=True, slots=True)
class DeleteDisk:
    """This DataVolume and its claim are to be deleted; once they are gone, `then` is to be written."""

    name: str
    then: Patch


@dataclass(frozen=True, slots=True)
class Wait:
    """KubeVirt has to do something first; its events tell when."""


Step: TypeAlias = "Patch | Install | EndInstance | DeleteDisk | Wait | None"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the Workload wants of its machine.

    `held`: nothing new may be put on it, and what is on it stays. `disk`: what is to be on it (None: nothing), with `seed_volume`, which it
    reads at its first boot. `annotations`: the tenant's."""

    online: bool
    held: bool = False
    disk: RootDisk | None = None
    seed_volume: Object = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


def next_step(vm: Object, vmi: Object | None, wish: Wish) -> Step:
    """The next step; None when the machine is as wished."""
    notes, image = annotations_of(vm), installed_image(vm)
    if names.REMOVING in notes or (image is not None and not wish.held and not _serves(vm, image, wish)):
        return _remove(vm, vmi, image)
    if image is None and wish.disk is not None and wish.online and not wish.held:
        return Install(wish.disk, Patch(install_patch(vm, wish.disk, wish.seed_volume)))
    if vm["spec"].get("runStrategy") != (power := _power(wish, installed=image is not None)):
        return Patch({"spec": {"runStrategy": power}})
    if image is not None and is_running(vmi) and notes.get(names.BOOTED) != image_digest(image):
        return Patch({"metadata": {"annotations": {names.BOOTED: image_digest(image)}}})
    return _reboot(vm, vmi, wish)


def is_running(vmi: Object | None) -> bool:
    """Whether the instance runs."""
    return vmi is not None and (vmi.get("status") or {}).get("phase") == "Running" and not vmi["metadata"].get("deletionTimestamp")


def consumed(vm: Object, vmi: Object | None, wish: Wish) -> tuple[str, ...]:
    """The tenant's annotation for a single reboot, once that is done. A machine that is off has nothing to reboot."""
    if REBOOT not in wish.annotations:
        return ()
    ended = annotations_of(vm).get(names.REBOOTED)
    off = vm["spec"].get("runStrategy") == HALTED and vmi is None
    done = ended is not None and is_running(vmi) and vmi is not None and uid_of(vmi) != ended
    return (REBOOT,) if off or done else ()


def _serves(vm: Object, image: Object, wish: Wish) -> bool:
    """Whether what is on the machine is what is wished. As in BMO its URL tells an image once it runs; until then, all of it counts."""
    if wish.disk is None:
        return False
    if annotations_of(vm).get(names.BOOTED) == image_digest(image):
        return bool(image["url"] == wish.disk.image["url"])
    return image == wish.disk.image


def _remove(vm: Object, vmi: Object | None, image: Object | None) -> Step:
    notes = annotations_of(vm)
    if names.REMOVING not in notes or vm["spec"].get("runStrategy") != HALTED:
        disk = notes.get(names.REMOVING) or _disk_of(vm)
        return Patch({"metadata": {"annotations": {names.REMOVING: disk}}, "spec": {"runStrategy": HALTED}})
    if vmi is not None:
        return Wait()
    if image is not None:
        return Patch(uninstall_patch())
    done = Patch({"metadata": {"annotations": {names.REMOVING: None}}})
    return done if notes[names.REMOVING] == NO_DISK else DeleteDisk(notes[names.REMOVING], done)


def _disk_of(vm: Object) -> str:
    """The name of its DataVolume."""
    volumes = ((vm["spec"].get("template") or {}).get("spec") or {}).get("volumes") or ()
    return next((str(volume["dataVolume"]["name"]) for volume in volumes if "dataVolume" in volume), NO_DISK)


def _power(wish: Wish, *, installed: bool) -> str:
    return RUNNING if wish.online and installed and not held_off(wish.annotations) else HALTED


def _reboot(vm: Object, vmi: Object | None, wish: Wish) -> Step:
    """A single reboot: the instance to end is noted first, so that it is ended once."""
    ended = annotations_of(vm).get(names.REBOOTED)
    if REBOOT not in wish.annotations:
        return Patch({"metadata": {"annotations": {names.REBOOTED: None}}}) if ended is not None else None
    if vmi is None or vm["spec"].get("runStrategy") != RUNNING:
        return None
    if ended is None:
        return Patch({"metadata": {"annotations": {names.REBOOTED: uid_of(vmi)}}})
    return EndInstance(ended) if uid_of(vmi) == ended else None
