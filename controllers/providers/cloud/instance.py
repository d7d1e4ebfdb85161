"""Instances as the cloud lists them, and what their tags say: the only record of whose they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from pydantic import ValidationError

from apiserver.apis.names import GROUP, MANAGEMENT, WORKLOAD_UID
from controllers.providers.base import Consumer
from controllers.providers.cloud.parameters import CloudFlavor
from controllers.providers.flavors import Machine, Slot, slot_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apiserver.client.objects import Object
    from controllers.providers.base import ApplyRequest

__all__ = ["WORKLOAD_UID", "Instance", "claimed", "installed", "machine", "newest_gone", "oldest", "slot_of", "tags_for"]

OURS = f"{GROUP}/"
SLOT_UID = f"{OURS}slot-uid"
"""The host's uid. What has this tag is found; everything else in the account is none of ours."""
SLOT = f"{OURS}slot"
WORKLOAD = f"{OURS}workload"
FLAVOR = f"{OURS}flavor"
IMAGE = f"{OURS}image"
BOOTED = f"{OURS}booted"
"""It was seen running: what comes after is a restart, not its making."""
REBOOTED = f"{OURS}rebooted"
"""The single reboot that is still asked for was done."""
REMOVING = f"{OURS}removing"
"""It is to go, for another image or with its Workload: once it is gone, its slot's machine is not lost."""
SURPLUS = f"{OURS}surplus"
"""There was another one in its slot: that it is gone says nothing of the slot's machine."""
QUARANTINED = f"{OURS}quarantined"

MOST = 255
"""Characters that a tag's value can have: 256 in EC2, 255 in OpenStack."""

QUARANTINE = "a Workload with reclaimPolicy Retain left it as it was: save what you need, then terminate instance {id}"
LEFT = "the cloud is removing instance {id}"
FAILED = "instance {id} has failed ({reason}): reset its state in the cloud, or have its tenant reboot it"
HELD = "instance {id} is {reason}: undo that in the cloud, for until then its tenant can do nothing with it"


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance. `state`: pending, running, stopping, stopped, shutting-down or terminated; in some clouds also error (it has failed) or
    held (its owner has paused, shelved, … it). `reason`: the cloud's, of its last change.

    `nics`: mac and ip of each, as far as known. `launched` sorts by time."""

    id: str
    state: str
    tags: Mapping[str, str]
    launched: str = ""
    reason: str = ""
    nics: tuple[Mapping[str, str], ...] = field(default_factory=tuple)

    @property
    def ended_by_hand(self) -> bool:
        """Whether somebody ended it, and not the cloud, which could not start it."""
        return self.reason.startswith(("User initiated", "Client.UserInitiatedShutdown"))

    @property
    def gone(self) -> bool:
        """Whether only its name is left."""
        return self.state == "terminated"


def tags_for(request: ApplyRequest, slot: Slot, flavor: CloudFlavor, image: Object, *, identity: str) -> dict[str, str]:
    """The tags of a new instance. What does not fit into a tag is left out: the image's URL has to (see images)."""
    metadata = request.workload["metadata"]
    tags = {
        "Name": slot_name(slot),
        SLOT_UID: request.source.uid,
        SLOT: f"{slot.flavor}/{slot.index}",
        WORKLOAD_UID: request.workload_uid,
        WORKLOAD: f"{metadata['namespace']}/{metadata['name']}",
        MANAGEMENT: identity,
        FLAVOR: orjson.dumps({**flavor.encode(), "labels": {}}).decode(),
        IMAGE: image["url"],
    }
    return {key: value for key, value in tags.items() if value and len(value) <= MOST}


def slot_of(instance: Instance) -> Slot | None:
    """The slot that it stands in."""
    flavor, _, number = instance.tags.get(SLOT, "").rpartition("/")
    return Slot(flavor, int(number)) if flavor and number.isdecimal() else None


def newest_gone(instances: Iterable[Instance], workload_uid: str) -> Instance | None:
    """The last of the Workload's that is terminated, for as long as the cloud remembers it; not one that was too many."""
    gone = (item for item in instances if item.gone and claimed(item, workload_uid) and SURPLUS not in item.tags)
    return max(gone, key=lambda instance: (instance.launched, instance.id), default=None)


def oldest(instances: Iterable[Instance]) -> Instance | None:
    """The one that has its slot, should there be several: two replicas may both have made one. One that ran already has data."""
    return min(instances, key=lambda instance: (BOOTED not in instance.tags, instance.launched, instance.id), default=None)


def claimed(instance: Instance, workload_uid: str) -> bool:
    """Whether this Workload has it."""
    return instance.tags.get(WORKLOAD_UID) == workload_uid and QUARANTINED not in instance.tags


def installed(instance: Instance) -> str:
    """The URL of the image that it was made from; empty if somebody took the tag away."""
    return instance.tags.get(IMAGE, "")


def machine(instance: Instance, slot: Slot) -> Machine:
    """The machine in this slot."""
    problem = None
    if QUARANTINED in instance.tags:
        problem = ("Quarantined", QUARANTINE.format(id=instance.id))
    elif instance.state == "shutting-down":
        problem = ("Deleting", LEFT.format(id=instance.id))
    elif instance.state == "error" and BOOTED in instance.tags:
        problem = ("MachineFailed", FAILED.format(id=instance.id, reason=instance.reason or "no reason is given"))
    elif instance.state == "held":
        problem = ("HeldByOwner", HELD.format(id=instance.id, reason=instance.reason))
    return Machine(
        slot=slot,
        consumer=_consumer(instance),
        made_from=_made_from(instance),
        state=_state(instance),
        powered_on=instance.state == "running",
        image={"url": installed(instance) or "unknown"},
        nics=[dict(nic) for nic in instance.nics],
        error="the machine has failed: ask its owner, who sees why, or reboot it" if instance.state == "error" else "",
        problem=problem,
    )


def _state(instance: Instance) -> str:
    """As a BareMetalHost's: what is on the disk, whatever the power."""
    if instance.state == "shutting-down" or REMOVING in instance.tags:
        return "deprovisioning"
    return "provisioning" if instance.state in {"pending", "error"} and BOOTED not in instance.tags else "provisioned"


def _consumer(instance: Instance) -> Consumer:
    workload_uid = "" if QUARANTINED in instance.tags else instance.tags.get(WORKLOAD_UID, "")
    namespace, _, name = instance.tags.get(WORKLOAD, "").partition("/")
    return Consumer("Workload", namespace, name, workload_uid) if workload_uid else Consumer("Instance", "", instance.id)


def _made_from(instance: Instance) -> CloudFlavor | None:
    try:
        return CloudFlavor.decode(orjson.loads(instance.tags.get(FLAVOR) or "null"))
    except (orjson.JSONDecodeError, ValidationError):
        return None
