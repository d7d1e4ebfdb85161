"""Keep the known state of the class's machines: its slots, and the machines last seen in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from apiserver.client.objects import Object
from controllers.providers.base import Consumer, ProviderHost
from controllers.providers.machines.flavors import Flavor, Machine, Offers, Slot, SlotRequeuer, machine_status, slot_uid, synthetic_host
from controllers.providers.machines.instance import SLOT_UID, Instance, oldest, slot_of


class Fleet:
    """Holds the known slots and machines, so that reports need no request to the source.

    `on_change(uid)` is called for each slot that may have changed. `id_in(slot, uid)`: see
    Driver."""

    def __init__(
        self,
        offers: Offers[Any],
        model: type[Flavor],
        on_change: Callable[[str], None],
        *,
        namespace: str,
        manufacturer: str,
        macs: bool,
        id_in: Callable[[Slot, str], str],
    ) -> None:
        self.offers, self._model, self._on_change = offers, model, on_change
        self._namespace, self._manufacturer, self._macs, self._id_in = namespace, manufacturer, macs, id_in
        self.requeuer = SlotRequeuer(on_change)
        self._by_id = self._ids()
        self._instances: dict[str, tuple[Instance, ...]] = {}
        self.synced = False
        self.holders: dict[str, Consumer] = {}
        """The holders of slots without a machine, by the slot's uid. The Host's claim records a
        holder; this copy keeps other Workloads from the slot."""

    def saw(self, instances: Iterable[Instance]) -> None:
        """Replace the known machines with all that the source has now."""
        now: dict[str, list[Instance]] = {}
        for instance in instances:
            if (uid := self.uid_of(instance)) and not instance.gone:
                now.setdefault(uid, []).append(instance)
        before, self._instances = self._instances, {uid: _sorted(found) for uid, found in now.items()}
        # Free slots have no objects at the source, so only this reports them.
        known = self.offers.slots.keys() if not self.synced else ()
        self.synced = True
        self._notify({uid for uid in before.keys() | now.keys() if before.get(uid) != self._instances.get(uid)}.union(known))

    def saw_slot(self, uid: str, instances: Iterable[Instance]) -> None:
        """Replace the known machines of one slot with those that the source has there now."""
        before = self._instances.pop(uid, ())
        if left := _sorted(item for item in instances if not item.gone):
            self._instances[uid] = left
        if left != before:
            self._on_change(uid)

    @property
    def busy(self) -> bool:
        """Return whether an operation on a machine is in progress, so that the next poll should be
        soon."""
        return any(item.state in {"pending", "stopping", "shutting-down"} for found in self._instances.values() for item in found)

    def known(self, uid: str) -> Instance | None:
        """Return the machine that has this slot, as last seen."""
        return oldest(self._instances.get(uid, ()))

    def crowded(self, uid: str) -> bool:
        """Return whether this slot has more than one machine."""
        return len(self._instances.get(uid, ())) > 1

    def hosts(self) -> list[ProviderHost]:
        """Return all hosts; none before everything was read once, because taken slots would seem
        free."""
        known = self.offers.slots.keys() | self._instances.keys() if self.synced else ()
        return [host for uid in sorted(known) if (host := self.host(uid)) is not None]

    def host(self, uid: str) -> ProviderHost | None:
        """Return one host."""
        instance = self.known(uid)
        slot = self.offers.slots.get(uid) or (slot_of(instance) if instance is not None else None)
        if slot is None or not self.synced:
            return None
        there, flavor = self._machine(instance, slot), self.offers.named(slot.flavor)
        made = synthetic_host(
            self.offers.place, slot, flavor, there, namespace=self._namespace, manufacturer=self._manufacturer, macs=self._macs
        )
        if made is not None and instance is not None:
            made = replace(made, to_free=instance.to_free)
        return self._as_it_stands(made, instance) if made is not None else None

    def observed(self, instance: Instance | None, slot: Slot, uid: str) -> Object:
        """Return the slot's status in HostReport form."""
        there = self._machine(instance, slot)
        flavor = (there.made_from if there is not None else None) or self.offers.named(slot.flavor)
        return machine_status(flavor, uid, there, manufacturer=self._manufacturer, macs=self._macs)

    def uid_of(self, instance: Instance) -> str:
        """Return the uid of the class's slot that the machine is in.

        The result is empty if the machine belongs to another class, or is not ours at all."""
        slot, uid = slot_of(instance), instance.tags.get(SLOT_UID, "")
        if uid in self.offers.slots or (slot is not None and uid and uid == slot_uid(self.offers.place, slot)):
            return uid
        return self._by_id.get(instance.id, "")

    def _machine(self, instance: Instance | None, slot: Slot) -> Machine | None:
        return instance.machine(slot, self._model) if instance is not None else None

    def _as_it_stands(self, host: ProviderHost, instance: Instance | None) -> ProviderHost:
        """Return the host as unavailable if its slot has a problem, or is held without a
        machine."""
        uid = host.source.uid
        if (problem := self.requeuer.problems.get(uid)) is not None:
            host = replace(host, available=False, reason=problem[0], message=problem[1])
        elif instance is None and (holder := self.holders.get(uid)) is not None:
            host = replace(host, available=False, reason="Claimed", message=f"{holder.kind} {holder.namespace}/{holder.name} has it")
        return host if instance is not None else replace(host, consumer=self.holders.get(uid))

    def _ids(self) -> dict[str, str]:
        return {id: uid for uid, slot in self.offers.slots.items() if (id := self._id_in(slot, uid))}

    def _notify(self, uids: Iterable[str]) -> None:
        for uid in list(uids):
            self._on_change(uid)


def _sorted(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    return tuple(sorted(instances, key=lambda item: item.id))
