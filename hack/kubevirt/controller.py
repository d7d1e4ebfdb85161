"""Run the simulation: follow machines, instances and DataVolumes of a cluster over HTTP, and write
what `next_action` decides."""

from __future__ import annotations

from typing import Literal

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.informer import Informer
from apiserver.client.objects import Object, key_of, name_of, namespace_of
from controllers.kinds import SECRETS
from controllers.providers.machines.kubevirt.names import DATA_VOLUMES, INSTANCES, VIRTUAL_MACHINES
from controllers.runtime.controller import Controller
from controllers.runtime.manager import Manager
from hack.kubevirt.reconcile import Action, ObservedState, import_status, next_action


class Simulation:
    """Simulates the controllers of KubeVirt and CDI. While `hold` is set, it does nothing."""

    def __init__(self, client: Client, *, namespace: str = "") -> None:
        self._client, self.hold = client, False
        self.manager = Manager()
        self._vms = self.manager.informer(Informer(client, VIRTUAL_MACHINES, namespace=namespace))
        self._vmis = self.manager.informer(Informer(client, INSTANCES, namespace=namespace))
        self._volumes = self.manager.informer(Informer(client, DATA_VOLUMES, namespace=namespace))
        self._secrets = self.manager.informer(Informer(client, SECRETS, namespace=namespace, transform=_without_values))
        self._machines = Controller("simulated machine", self._machine, workers=4)
        self._imports = Controller("simulated import", self._import, workers=2)
        for informer in (self._vms, self._vmis):
            informer.add_handler(self._changed)
        self._volumes.add_handler(self._volume_changed)
        self._secrets.add_handler(lambda old, new: self.wake())
        for controller in (self._machines, self._imports):
            self.manager.add(controller)

    async def run(self) -> None:
        """Work until cancelled."""
        await self.manager.run()

    def wake(self) -> None:
        """Queue all machines."""
        for vm in self._vms.store:
            self._machines.queue.add(key_of(vm))
        for volume in self._volumes.store:
            self._imports.queue.add(key_of(volume))

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if (obj := new or old) is not None:
            self._machines.queue.add(key_of(obj))

    def _volume_changed(self, old: Object | None, new: Object | None) -> None:
        if (volume := new or old) is not None:
            self._imports.queue.add(key_of(volume))
            for owner in volume["metadata"].get("ownerReferences") or ():
                self._machines.queue.add(f"{namespace_of(volume)}/{owner['name']}")

    async def _import(self, key: str) -> None:
        volume = self._volumes.store.get(key)
        if volume is None or self.hold:
            return
        if (status := import_status(volume)) is not None:
            patch = {"metadata": {"resourceVersion": volume["metadata"]["resourceVersion"]}, "status": status}
            await self._client.patch(DATA_VOLUMES, name_of(volume), patch, namespace_of(volume), subresource="status")

    async def _machine(self, key: str) -> None:
        vm, vmi = self._vms.store.get(key), self._vmis.store.get(key)
        if self.hold:
            return
        if vm is None:
            if vmi is not None:
                await self._collect(vmi)
            return
        action = next_action(ObservedState(vm, vmi, self._volumes_of(vm), self._secret_names(namespace_of(vm))))
        if action is not None:
            await self._do(action, vm, vmi)

    def _volumes_of(self, vm: Object) -> dict[str, Object]:
        names = [v["dataVolume"]["name"] for v in vm["spec"]["template"]["spec"].get("volumes") or () if "dataVolume" in v]
        return {name: self._volumes.store.get(f"{namespace_of(vm)}/{name}") or {} for name in names}

    def _secret_names(self, namespace: str) -> set[str]:
        return {name_of(secret) for secret in self._secrets.store.by_index("namespace", namespace)}

    async def _collect(self, vmi: Object) -> None:
        """Delete an instance whose machine is gone, as the garbage collector does."""
        verb: Literal["patch", "delete"] = "patch" if vmi["metadata"].get("finalizers") else "delete"
        await self._do(Action("vmi", verb, {"metadata": {"finalizers": []}}), vmi, vmi)

    async def _do(self, action: Action, vm: Object, vmi: Object | None) -> None:
        kind, obj = (VIRTUAL_MACHINES, vm) if action.what == "vm" else (INSTANCES, vmi or vm)
        name, namespace = name_of(obj), namespace_of(obj)
        try:
            match action.verb:
                case "create":
                    await self._client.create(kind, action.body, namespace)
                case "delete":
                    await self._client.delete(kind, name, namespace, uid=obj["metadata"]["uid"])
                case _:
                    version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
                    body = {**action.body, "metadata": {**action.body.get("metadata", {}), **version}}
                    await self._client.patch(kind, name, body, namespace, subresource="status" if action.verb == "patch status" else "")
        except ApiException as error:
            if not error.not_found and not error.already_exists:
                raise


def _without_values(secret: Object) -> Object:
    return {"metadata": secret["metadata"]}
