"""Describe the machines of a source.

The tags of a machine are the only record of which Workload has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from apiserver.apis.names import GROUP, MANAGEMENT, QUARANTINED, WORKLOAD_UID
from apiserver.client.objects import Object
from controllers.providers.base import ApplyRequest, Consumer
from controllers.providers.machines import machineerrors
from controllers.providers.machines.flavors import Flavor, Machine, Slot

OURS = f"{GROUP}/"
SLOT_UID = f"{OURS}slot-uid"
"""A tag of a machine in a cloud, or a label of a VirtualMachine: the host's uid.

Only machines with it are this project's."""
SLOT = f"{OURS}slot"
"""A tag with FLAVOR/NUMBER."""
WORKLOAD = f"{OURS}workload"
"""A tag with NAMESPACE/NAME of the Workload, in its management cluster."""
FLAVOR = f"{OURS}flavor"
"""A tag with the flavor that the machine was created from, as JSON."""
IMAGE = f"{OURS}image"
"""A tag with the image that is on the machine."""
BOOTED = f"{OURS}booted"
"""A tag of a machine that was seen running: a later start is a restart, not its creation."""
REBOOTED = f"{OURS}rebooted"
"""A tag that records that the requested single reboot was or is being carried out."""
REMOVING = f"{OURS}removing"
"""A tag that records that what is on the machine is being removed; in a cloud, so is the machine.

If a machine with this tag disappears, its Workload has not lost it."""
SURPLUS = f"{OURS}surplus"
"""A tag of a second machine in a slot: its end does not mean the end of the slot's machine."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One machine of a source. A driver subclasses it if its machines report more than tags.

    `state` is one of:

        pending, stopping         busy: accepts no requests
        running, stopped
        starting, halting         between these two; accepts requests
        loose                     powered by its owner's rules; accepts requests
        shutting-down             being deleted
        deleting                  being deleted by its owner, and lost
        terminated                only its name is left
        error                     failed
        held                      paused, shelved, ... by its owner

    `reason`: the source's own reason of the last change. `nics`: mac and ip of each, as far as
    known. `launched`: the time of the creation, as text that sorts by time."""

    id: str
    state: str
    tags: Mapping[str, str]
    launched: str = ""
    reason: str = ""
    nics: tuple[Mapping[str, str], ...] = field(default_factory=tuple)

    @property
    def ended_by_hand(self) -> bool:
        """Return whether a user ended the machine, as opposed to a cloud that could not start
        it."""
        return self.reason.startswith(("User initiated", "Client.UserInitiatedShutdown"))

    @property
    def gone(self) -> bool:
        """Return whether only the name is left."""
        return self.state == "terminated"

    @property
    def leaving(self) -> bool:
        """Return whether the machine, or what is on it, is being removed."""
        return self.state == "shutting-down" or REMOVING in self.tags

    @property
    def image(self) -> Object | None:
        """Return the image that is on the machine; None if the machine is empty."""
        return {"url": self.tags.get(IMAGE, "")}

    @property
    def booted(self) -> bool:
        """Return whether this image was seen running."""
        return BOOTED in self.tags

    @property
    def rebooted(self) -> bool:
        """Return whether nothing is left to do for the requested single reboot."""
        return REBOOTED in self.tags

    @property
    def empty(self) -> bool:
        """Return whether nothing is installed, and no operation is in progress."""
        return False

    @property
    def to_free(self) -> str:
        """Return what the owner does to free the host by hand."""
        return f"terminate instance {self.id}"

    def machine(self, slot: Slot, model: type[Flavor]) -> Machine:
        """Return the machine as its Host reports it."""
        return Machine(
            slot=slot,
            consumer=consumer_of(self, Consumer("Instance", "", self.id)),
            made_from=flavor_of(self, model),
            state=self._stage(),
            powered_on=self.state == "running",
            image={"url": self.tags.get(IMAGE) or "unknown"},
            nics=[dict(nic) for nic in self.nics],
            error=machineerrors.TENANTS if self.state == "error" else "",
            problem=self._problem(),
        )

    def _stage(self) -> str:
        """Return the provisioning state of a BareMetalHost, which depends on the disk and not on
        the power."""
        if self.leaving:
            return "deprovisioning"
        return "provisioning" if self.state in {"pending", "error"} and not self.booted else "provisioned"

    def _problem(self) -> tuple[str, str] | None:
        if QUARANTINED in self.tags:
            return "Quarantined", machineerrors.QUARANTINE.format(to_free=self.to_free)
        if self.state == "shutting-down":
            return "Deleting", machineerrors.LEFT.format(id=self.id)
        if self.state == "error" and self.booted:
            return "MachineFailed", machineerrors.FAILED.format(id=self.id, reason=self.reason or "no reason is given")
        return ("HeldByOwner", machineerrors.HELD.format(id=self.id, reason=self.reason)) if self.state == "held" else None


def record(request: ApplyRequest, slot: Slot, flavor: Object, identity: str) -> dict[str, str]:
    """Return the tags of a new machine, without an image. `flavor`: as JSON."""
    metadata = request.workload["metadata"]
    tags = {
        SLOT_UID: request.source.uid,
        SLOT: f"{slot.flavor}/{slot.index}",
        WORKLOAD_UID: request.workload_uid,
        WORKLOAD: f"{metadata['namespace']}/{metadata['name']}",
        MANAGEMENT: identity,
        FLAVOR: orjson.dumps(flavor).decode(),
    }
    return {key: value for key, value in tags.items() if value}


def slot_of(instance: Instance) -> Slot | None:
    """Return the slot that the machine is in."""
    flavor, _, number = instance.tags.get(SLOT, "").rpartition("/")
    return Slot(flavor, int(number)) if flavor and number.isdecimal() else None


def flavor_of(instance: Instance, model: type[Flavor]) -> Flavor | None:
    """Return the flavor at the time of the machine's creation; None if the record is unreadable."""
    try:
        return model.decode(orjson.loads(instance.tags.get(FLAVOR) or "null"))
    except (orjson.JSONDecodeError, ValidationError):
        return None


def consumer_of(instance: Instance, otherwise: Consumer) -> Consumer:
    """Return the Workload that has the machine, or else `otherwise`."""
    workload_uid = "" if QUARANTINED in instance.tags else instance.tags.get(WORKLOAD_UID, "")
    namespace, _, name = instance.tags.get(WORKLOAD, "").partition("/")
    return Consumer("Workload", namespace, name, workload_uid) if workload_uid else otherwise


def claimed(instance: Instance, workload_uid: str) -> bool:
    """Return whether this Workload has the machine."""
    return instance.tags.get(WORKLOAD_UID) == workload_uid and QUARANTINED not in instance.tags


def newest_gone(instances: Iterable[Instance], workload_uid: str) -> Instance | None:
    """Return the Workload's last machine that is terminated, while the source remembers it.

    Surplus machines do not count."""
    gone = (item for item in instances if item.gone and claimed(item, workload_uid) and SURPLUS not in item.tags)
    return max(gone, key=_age, default=None)


def oldest(instances: Iterable[Instance]) -> Instance | None:
    """Return the machine that has the slot, if there are several because two replicas created one
    each.

    A machine that ran is preferred, because it has data."""
    return min(instances, key=lambda instance: (BOOTED not in instance.tags, *_age(instance)), default=None)


def _age(instance: Instance) -> tuple[Any, ...]:
    return instance.launched, instance.id
