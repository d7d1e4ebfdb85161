"""Follow the VirtualMachines and their instances by watching them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from apiserver.client.client import Client
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, key_of, labels_of
from controllers.providers.base import ProviderError
from controllers.providers.machines.driver import Follower
from controllers.providers.machines.fleet import Fleet
from controllers.providers.machines.kubevirt import names
from controllers.providers.machines.kubevirt.report import VirtualMachine
from controllers.providers.machines.kubevirt.sourceerrors import explain


class Watcher(Follower):
    """Keeps the fleet equal to the machines of the namespace."""

    def __init__(self, client: Client, fleet: Fleet, namespace: str, on_health: Callable[[], None]) -> None:
        self._fleet, self._namespace = fleet, namespace
        self._machines = Informer(client, names.VIRTUAL_MACHINES, namespace=namespace, indexers={"slot": lambda vm: [self._uid_of(vm)]})
        self._instances = Informer(client, names.INSTANCES, namespace=namespace, label_selector=names.SLOT_UID)
        self._machines.add_handler(self._machine_changed)
        self._instances.add_handler(self._instance_changed)
        for informer in (self._machines, self._instances):
            informer.add_health_handler(on_health)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for informer in (self._machines, self._instances):
                group.create_task(informer.run())
            for informer in (self._machines, self._instances):
                await informer.synced.wait()
            self._fleet.saw(self._read(vm) for vm in self._machines.store)

    @property
    def problem(self) -> ProviderError | None:  # type: ignore[override] # it is never set
        for informer in (self._machines, self._instances):
            if informer.last_error is not None:
                return explain(informer.last_error, self._namespace)
        if not self._fleet.synced:
            return ProviderError("Connecting", "reading the machines of the KubeVirt cluster for the first time")
        return None

    def _read(self, vm: Object) -> VirtualMachine:
        return VirtualMachine.of(vm, self._instances.store.get(key_of(vm)))

    def _uid_of(self, vm: Object) -> str:
        return self._fleet.uid_of(VirtualMachine.of(vm, None))

    def _machine_changed(self, old: Object | None, new: Object | None) -> None:
        for uid in {self._uid_of(vm) for vm in (old, new) if vm is not None}:
            self._slot_changed(uid)

    def _instance_changed(self, old: Object | None, new: Object | None) -> None:
        vmi = new or old
        assert vmi is not None
        self._slot_changed(labels_of(vmi).get(names.SLOT_UID, ""))

    def _slot_changed(self, uid: str) -> None:
        if uid and self._fleet.synced:
            self._fleet.saw_slot(uid, [self._read(vm) for vm in self._machines.store.by_index("slot", uid)])
