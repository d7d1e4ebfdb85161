"""The class's machines as they are known: its slots, and the instances that were seen in them when the cloud was last asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controllers.providers.cloud.instance import SLOT_UID, Instance, machine, oldest, slot_of
from controllers.providers.flavors import Slot, machine_status, offered_slots, slot_uid, synthetic_host
from controllers.runtime.objects import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controllers.providers.base import Consumer, ProviderHost
    from controllers.providers.cloud.parameters import CloudFlavor, Parameters
    from controllers.runtime.objects import Object

__all__ = ["Fleet"]

MAKER = "Amazon EC2"


class Fleet:
    """What is known without asking. `on_change(uid)` is called for each slot that may have changed."""

    def __init__(self, class_name: str, parameters: Parameters, selector: Object | None, on_change: Callable[[str], None]) -> None:
        self._region, self._selector, self._on_change = parameters.region, selector, on_change
        self._place = "/".join((parameters.identity, class_name, parameters.region))
        self._flavors: dict[str, CloudFlavor] = {}
        self._slots: dict[str, Slot] = {}
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self.synced = False
        self.troubles: dict[str, tuple[str, str]] = {}
        """Why a slot's machine cannot be made, as (reason, message) for the owner, by the slot's uid."""
        self.holders: dict[str, Consumer] = {}
        """Who holds a slot in which there is no machine yet. The record of that is the Host; this shows it, and keeps rivals off."""
        self.offer(parameters.flavors)

    def offer(self, flavors: Iterable[CloudFlavor]) -> None:
        """Has these flavors on offer from now on, as far as the class's host selector matches them. Machines that exist stay."""
        self._flavors = {flavor.name: flavor for flavor in flavors if matches(self._selector, flavor.labels)}
        before, self._slots = self._slots, {slot_uid(self._place, slot): slot for slot in offered_slots(self._flavors.values())}
        if self.synced:
            self._tell(before.keys() | self._slots.keys())

    def saw(self, instances: Iterable[Instance]) -> None:
        """Takes over what the cloud has now, all of it."""
        now: dict[str, list[Instance]] = {}
        for instance in instances:
            if (uid := self._uid_of(instance)) and not instance.gone:
                now.setdefault(uid, []).append(instance)
        before, self._instances = self._instances, {uid: tuple(sorted(found, key=lambda item: item.id)) for uid, found in now.items()}
        known = self._slots.keys() if not self.synced else ()  # free slots are no objects: nobody else tells of them
        self.synced = True
        self._tell({uid for uid in before.keys() | now.keys() if before.get(uid) != self._instances.get(uid)}.union(known))

    def saw_slot(self, uid: str, instances: Iterable[Instance]) -> None:
        """Takes over what the cloud has in one slot now."""
        before = self._instances.pop(uid, ())
        if left := tuple(sorted((item for item in instances if not item.gone), key=lambda item: item.id)):
            self._instances[uid] = left
        if left != before:
            self._on_change(uid)

    @property
    def busy(self) -> bool:
        """Whether the cloud is seen at work for us, so that looking again soon is worth it."""
        return any(item.state in {"pending", "stopping", "shutting-down"} for found in self._instances.values() for item in found)

    def flavor(self, slot: Slot) -> CloudFlavor | None:
        """The flavor of this slot, if the class offers it."""
        flavor = self._flavors.get(slot.flavor)
        return flavor if flavor is not None and slot.index < flavor.capacity else None

    def slot(self, name: str) -> Slot:
        """The slot with this host's name."""
        flavor, _, number = name.rpartition("-")
        return Slot(flavor, int(number) if number.isdecimal() else 0)

    def known(self, uid: str) -> Instance | None:
        """The instance that has this slot, as last seen."""
        return oldest(self._instances.get(uid, ()))

    def hosts(self) -> list[ProviderHost]:
        """All hosts; none before everything was read once, for what is taken would seem free."""
        known = self._slots.keys() | self._instances.keys() if self.synced else ()
        return [host for uid in sorted(known) if (host := self.host(uid)) is not None]

    def host(self, uid: str) -> ProviderHost | None:
        """One host."""
        instance = self.known(uid)
        slot = self._slots.get(uid) or (slot_of(instance) if instance is not None else None)
        if slot is None or not self.synced:
            return None
        there = machine(instance, slot) if instance is not None else None
        # Instances get their MAC addresses from the cloud, when they are made.
        made = synthetic_host(self._place, slot, self._flavors.get(slot.flavor), there, namespace=self._region, maker=MAKER, macs=False)
        if made is not None and instance is not None:
            return replace(made, to_free=f"terminate instance {instance.id}")
        return self._as_it_stands(made) if made is not None else None

    def observed(self, instance: Instance | None, slot: Slot, uid: str) -> Object:
        """The slot's status in HostReport form."""
        there = machine(instance, slot) if instance is not None else None
        flavor = (there.made_from if there is not None else None) or self._flavors.get(slot.flavor)
        return machine_status(flavor, uid, there, maker=MAKER, macs=False)

    def _as_it_stands(self, host: ProviderHost) -> ProviderHost:
        """A slot without a machine that is nevertheless not free."""
        uid = host.source.uid
        if (trouble := self.troubles.get(uid)) is not None:
            host = replace(host, available=False, reason=trouble[0], message=trouble[1])
        elif (holder := self.holders.get(uid)) is not None:
            host = replace(host, available=False, reason="Claimed", message=f"{holder.kind} {holder.namespace}/{holder.name} has it")
        return replace(host, consumer=self.holders.get(uid))

    def _uid_of(self, instance: Instance) -> str:
        """The uid of the class's slot that it stands in; empty if it is another class's."""
        slot, uid = slot_of(instance), instance.tags.get(SLOT_UID, "")
        if uid in self._slots:
            return uid
        return uid if slot is not None and uid == slot_uid(self._place, slot) else ""

    def _tell(self, uids: Iterable[str]) -> None:
        for uid in list(uids):
            self._on_change(uid)
