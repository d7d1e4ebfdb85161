"""The class's machines as they are known: its slots, and the VirtualMachines and instances that an informer has seen in them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from apiserver.client.informer import Informer
from apiserver.client.objects import key_of, labels_of, name_of
from controllers.providers.flavors import Attention, Offers, Slot, machine_status, slot_uid, synthetic_host
from controllers.providers.kubevirt import names, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from apiserver.client.client import Client
    from apiserver.client.objects import Object
    from controllers.providers.base import ProviderHost
    from controllers.providers.flavors import Machine
    from controllers.providers.kubevirt.parameters import MachineFlavor, Parameters

__all__ = ["Fleet"]

MAKER = "KubeVirt"


class Fleet:
    """What is known without asking. `on_change(uid)` is called for each slot that may have changed."""

    def __init__(
        self, client: Client, class_name: str, parameters: Parameters, selector: Object | None, on_change: Callable[[str], None]
    ) -> None:
        self._parameters, self._on_change = parameters, on_change
        self.offers = Offers("/".join((parameters.identity, class_name, parameters.namespace)), selector, parameters.flavors)
        self._by_name = self._names()
        self.attention = Attention(on_change)
        self.machines = Informer(
            client, names.VIRTUAL_MACHINES, namespace=parameters.namespace, indexers={"slot": lambda vm: [self._uid_of(vm)]}
        )
        self.instances = Informer(client, names.INSTANCES, namespace=parameters.namespace, label_selector=names.SLOT_UID)
        self.machines.add_handler(self._machine_changed)
        self.instances.add_handler(self._instance_changed)

    async def run(self) -> None:
        """Follows the cluster until cancelled."""
        async with asyncio.TaskGroup() as group:
            for informer in (self.machines, self.instances):
                group.create_task(informer.run())
            for informer in (self.machines, self.instances):
                await informer.synced.wait()
            # Free slots are no objects: nobody else tells of them.
            self._tell(self.offers.slots)

    @property
    def synced(self) -> bool:
        return self.machines.synced.is_set() and self.instances.synced.is_set()

    def offer(self, flavors: Iterable[MachineFlavor]) -> None:
        """Has these flavors on offer from now on, as far as the class's host selector matches them. Machines that exist stay."""
        changed = self.offers.change(flavors)
        self._by_name = self._names()
        if self.synced:
            self._tell(changed)

    def _names(self) -> dict[str, str]:
        return {names.machine_name(slot, uid): uid for uid, slot in self.offers.slots.items()}

    def hosts(self) -> list[ProviderHost]:
        """All hosts; none before everything was read once, for what is taken would seem free."""
        taken = (self._uid_of(vm) for vm in self.machines.store)
        known = {*self.offers.slots, *(uid for uid in taken if uid)} if self.synced else ()
        return [host for uid in known if (host := self.host(uid)) is not None]

    def host(self, uid: str) -> ProviderHost | None:
        """One host."""
        vm = self.known(uid)
        slot = self.offers.slots.get(uid) or (report.slot_of(vm) if vm is not None else None)
        if slot is None or not self.synced:
            return None
        machine = self.machine(vm, self.instance(vm), slot) if vm is not None else None
        made = synthetic_host(
            self.offers.place, slot, self.offers.named(slot.flavor), machine, namespace=self._parameters.namespace, maker=MAKER
        )
        if made is None or vm is None:
            return self._with_trouble(made)
        return replace(made, to_free=f"delete the VirtualMachine {name_of(vm)}")

    def _with_trouble(self, host: ProviderHost | None) -> ProviderHost | None:
        trouble = self.attention.troubles.get(host.source.uid) if host is not None else None
        return host if host is None or trouble is None else replace(host, available=False, reason=trouble[0], message=trouble[1])

    def known(self, uid: str) -> Object | None:
        """The VirtualMachine in the slot with this uid, as last seen."""
        found = self.machines.store.by_index("slot", uid)
        return found[0] if found else None

    def instance(self, vm: Object) -> Object | None:
        """Its instance as last seen."""
        return self.instances.store.get(key_of(vm))

    def machine(self, vm: Object, vmi: Object | None, slot: Slot) -> Machine:
        """The machine in a slot."""
        return report.machine(vm, vmi, slot)

    def observed(self, vm: Object, vmi: Object | None, slot: Slot, uid: str) -> Object:
        """The slot's status in HostReport form."""
        flavor = report.made_from(vm) or self.offers.named(slot.flavor)
        return machine_status(flavor, uid, self.machine(vm, vmi, slot), maker=MAKER)

    def _uid_of(self, vm: Object) -> str:
        """The uid of the class's slot that this machine stands in; empty if it is another class's, or nothing of ours."""
        slot, uid = report.slot_of(vm), labels_of(vm).get(names.SLOT_UID, "")
        if slot is not None and uid and uid == slot_uid(self.offers.place, slot):
            return uid
        return self._by_name.get(name_of(vm), "")

    def _machine_changed(self, old: Object | None, new: Object | None) -> None:
        for vm in (old, new):
            if vm is not None and (uid := self._uid_of(vm)):
                self._on_change(uid)

    def _instance_changed(self, old: Object | None, new: Object | None) -> None:
        vmi = new or old
        assert vmi is not None
        if uid := labels_of(vmi).get(names.SLOT_UID):
            self._on_change(uid)

    def _tell(self, uids: Iterable[str]) -> None:
        for uid in list(uids):
            self._on_change(uid)
