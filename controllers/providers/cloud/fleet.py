"""The class's machines as they are known: its slots, and the instances that were seen in them when the cloud was last asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from controllers.providers.cloud.instance import SLOT_UID, Instance, machine, oldest, slot_of
from controllers.providers.flavors import Attention, Offers, machine_status, slot_uid, synthetic_host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apiserver.client.objects import Object
    from controllers.providers.base import Consumer, ProviderHost
    from controllers.providers.cloud.parameters import CloudFlavor, Parameters
    from controllers.providers.flavors import Slot

__all__ = ["Fleet"]


class Fleet:
    """What is known without asking. `on_change(uid)` is called for each slot that may have changed."""

    def __init__(
        self, class_name: str, parameters: Parameters, maker: str, selector: Object | None, on_change: Callable[[str], None]
    ) -> None:
        self._region, self._maker, self._on_change = parameters.region, maker, on_change
        self.offers = Offers("/".join((parameters.identity, class_name, parameters.region)), selector, parameters.flavors)
        self.attention = Attention(on_change)
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self.synced = False
        self.holders: dict[str, Consumer] = {}
        """Who holds a slot in which there is no machine yet. The record of that is the Host; this shows it, and keeps rivals off."""

    def offer(self, flavors: Iterable[CloudFlavor]) -> None:
        """Has these flavors on offer from now on, as far as the class's host selector matches them. Machines that exist stay."""
        changed = self.offers.change(flavors)
        if self.synced:
            self._tell(changed)

    def saw(self, instances: Iterable[Instance]) -> None:
        """Takes over what the cloud has now, all of it."""
        now: dict[str, list[Instance]] = {}
        for instance in instances:
            if (uid := self._uid_of(instance)) and not instance.gone:
                now.setdefault(uid, []).append(instance)
        before, self._instances = self._instances, {uid: tuple(sorted(found, key=lambda item: item.id)) for uid, found in now.items()}
        known = self.offers.slots.keys() if not self.synced else ()  # free slots are no objects: nobody else tells of them
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

    def known(self, uid: str) -> Instance | None:
        """The instance that has this slot, as last seen."""
        return oldest(self._instances.get(uid, ()))

    def crowded(self, uid: str) -> bool:
        """Whether this slot has more machines than one, which is one too many."""
        return len(self._instances.get(uid, ())) > 1

    def hosts(self) -> list[ProviderHost]:
        """All hosts; none before everything was read once, for what is taken would seem free."""
        known = self.offers.slots.keys() | self._instances.keys() if self.synced else ()
        return [host for uid in sorted(known) if (host := self.host(uid)) is not None]

    def host(self, uid: str) -> ProviderHost | None:
        """One host."""
        instance = self.known(uid)
        slot = self.offers.slots.get(uid) or (slot_of(instance) if instance is not None else None)
        if slot is None or not self.synced:
            return None
        there = machine(instance, slot) if instance is not None else None
        # Instances get their MAC addresses from the cloud, when they are made.
        place, flavor = self.offers.place, self.offers.named(slot.flavor)
        made = synthetic_host(place, slot, flavor, there, namespace=self._region, maker=self._maker, macs=False)
        if made is not None and instance is not None:
            made = replace(made, to_free=f"terminate instance {instance.id}")
        return self._as_it_stands(made, instance) if made is not None else None

    def observed(self, instance: Instance | None, slot: Slot, uid: str) -> Object:
        """The slot's status in HostReport form."""
        there = machine(instance, slot) if instance is not None else None
        flavor = (there.made_from if there is not None else None) or self.offers.named(slot.flavor)
        return machine_status(flavor, uid, there, maker=self._maker, macs=False)

    def _as_it_stands(self, host: ProviderHost, instance: Instance | None) -> ProviderHost:
        """A slot in trouble is not free, nor is one without a machine that somebody holds."""
        uid = host.source.uid
        if (trouble := self.attention.troubles.get(uid)) is not None:
            host = replace(host, available=False, reason=trouble[0], message=trouble[1])
        elif instance is None and (holder := self.holders.get(uid)) is not None:
            host = replace(host, available=False, reason="Claimed", message=f"{holder.kind} {holder.namespace}/{holder.name} has it")
        return host if instance is not None else replace(host, consumer=self.holders.get(uid))

    def _uid_of(self, instance: Instance) -> str:
        """The uid of the class's slot that it stands in; empty if it is another class's."""
        slot, uid = slot_of(instance), instance.tags.get(SLOT_UID, "")
        if uid in self.offers.slots:
            return uid
        return uid if slot is not None and uid == slot_uid(self.offers.place, slot) else ""

    def _tell(self, uids: Iterable[str]) -> None:
        for uid in list(uids):
            self._on_change(uid)
