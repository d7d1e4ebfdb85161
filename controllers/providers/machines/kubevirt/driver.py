"""Drive the VirtualMachines of one namespace.

A VirtualMachine is created with the claim, empty, and stays until the release."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from apiserver.client.client import Client
from apiserver.client.errors import ApiException
from apiserver.client.objects import Object, deleting, name_of, uid_of
from controllers.providers.base import ApplyRequest, Outcome, ProviderError
from controllers.providers.machines.driver import DesiredContent, Driver, Timings
from controllers.providers.machines.flavors import REPLACING, Flavor, Slot
from controllers.providers.machines.fleet import Fleet
from controllers.providers.machines.instance import REBOOTED
from controllers.providers.machines.kubevirt import manifest, names
from controllers.providers.machines.kubevirt.cluster import MachineCluster
from controllers.providers.machines.kubevirt.images import RootDisk, root_disk
from controllers.providers.machines.kubevirt.parameters import MachineFlavor, Parameters
from controllers.providers.machines.kubevirt.report import VirtualMachine
from controllers.providers.machines.kubevirt.seed import Seed, seed
from controllers.providers.machines.kubevirt.sourceerrors import explain, refusal
from controllers.providers.machines.kubevirt.watcher import Watcher
from controllers.providers.machines.refusals import Refusal
from controllers.providers.machines.steps import DesiredState


@dataclass(frozen=True, slots=True)
class Boot:
    """Holds what a machine gets: its root disk, and the data that it reads at its first boot."""

    disk: RootDisk
    seed: Seed


class KubeVirt(Driver[VirtualMachine]):
    """Drives one namespace of one cluster. Changes are watched, and a machine's name excludes a
    second machine in its slot."""

    manufacturer, place_noun, remembers, reserves, macs = "KubeVirt", "namespace", False, True, True
    settings: Parameters

    def __init__(self, parameters: Parameters, client: Client, timings: Timings) -> None:
        super().__init__(parameters, parameters.namespace, timings)
        self._client, self._cluster = client, MachineCluster(client, parameters.namespace)

    def follower(self, fleet: Fleet, on_health: Callable[[], None]) -> Watcher:
        return Watcher(self._client, fleet, self.place, on_health)

    async def in_slot(self, slot: Slot, uid: str) -> list[VirtualMachine]:
        vm = await self._cluster.machine(names.machine_name(slot, uid))
        return [] if vm is None else [VirtualMachine.of(vm, await self._cluster.instance(name_of(vm)))]

    def id_in(self, slot: Slot, uid: str) -> str:
        return names.machine_name(slot, uid)

    def content(self, request: ApplyRequest) -> DesiredContent:
        disk = root_disk(request.workload["spec"], verify=self.settings.verify_checksums)
        if disk is None:
            return DesiredContent()
        note = f" (the image is not verified: {disk.unverified})" if disk.unverified else ""
        return DesiredContent(disk.image, Boot(disk, seed(request)), note)

    def known_image(self, spec: Object) -> Object | None:
        disk = root_disk(spec, verify=False)
        return disk.image if disk is not None else None

    async def create(self, request: ApplyRequest, slot: Slot, flavor: MachineFlavor, desired: DesiredState, attempt: int) -> VirtualMachine:
        made = await self._cluster.make(manifest.virtual_machine(request, slot, flavor, self.settings))
        if made is not None:
            return VirtualMachine.of(made, None)
        if not (there := await self.in_slot(slot, request.source.uid)):
            raise ApiException(409, "Conflict", "the machine's name was taken a moment ago")
        return there[0]

    async def prepare(self, machine: VirtualMachine, request: ApplyRequest, desired: DesiredState) -> None:
        if desired.boot is not None:
            await self._cluster.keep_secret(machine.vm, request.workload_uid, desired.boot.seed.data)
        elif not desired.held:
            await self._cluster.remove_secrets(request.workload_uid)

    async def install(self, machine: VirtualMachine, desired: DesiredState, flavor: Flavor | None) -> VirtualMachine | Outcome:
        vm, boot = machine.vm, desired.boot
        wanted = manifest.data_volume(vm, boot.disk, str(flavor.disk) if flavor is not None else "", self.settings)
        if wanted is not None and (instead := await self._make_disk(vm, wanted)) is not None:
            return instead
        return await self._patch(machine, manifest.install_patch(vm, boot.disk, boot.seed.volume))

    async def _make_disk(self, vm: Object, wanted: Object) -> Outcome | None:
        """Create the DataVolume that imports the image. Return None, or why the image cannot be
        used now."""
        made = await self._cluster.make_disk(wanted)
        if deleting(made) or all(owner["uid"] != uid_of(vm) for owner in made["metadata"].get("ownerReferences") or ()):
            # The DataVolume belongs to an earlier machine, with which it is deleted.
            await self._cluster.delete_disk(name_of(wanted))
            return REPLACING
        if _checksum(made) == _checksum(wanted) or not self.settings.verify_checksums:
            return None
        # An importer that does not support checksums drops them silently.
        await self._cluster.delete_disk(name_of(wanted))
        return Outcome(False, "ChecksumUnsupported", _TOO_OLD)

    async def erase(self, machine: VirtualMachine) -> VirtualMachine | None:
        step = manifest.erasing(machine.vm, machine.vmi)
        if step is None or (step.disk and not await self._cluster.delete_disk(step.disk)):
            return None
        return await self._patch(machine, step.patch)

    async def remove(self, machine: VirtualMachine, why: str) -> None:
        await self._cluster.delete_machine(machine.vm)

    async def retain(self, machine: VirtualMachine, who: str) -> None:
        note = {names.QUARANTINED: machine.tags.get(names.QUARANTINED) or who}
        await self._patch(machine, {"metadata": {"labels": {names.WORKLOAD_UID: None}, "annotations": note}})

    async def start(self, machine: VirtualMachine) -> VirtualMachine:
        return await self._patch(machine, {"spec": {"runStrategy": manifest.RUNNING}})

    async def stop(self, machine: VirtualMachine) -> VirtualMachine:
        return await self._patch(machine, {"spec": {"runStrategy": manifest.HALTED}})

    async def reboot(self, machine: VirtualMachine) -> VirtualMachine | None:
        """Record the uid of the running instance, then delete exactly that instance. KubeVirt
        starts another one."""
        vmi, ended = machine.vmi, machine.tags.get(REBOOTED)
        if vmi is None:
            return None
        if ended is None:
            return await self.tag(machine, {REBOOTED: uid_of(vmi)})
        if not deleting(vmi):
            await self._cluster.end_instance(name_of(vmi), ended)
        return None

    async def tag(self, machine: VirtualMachine, tags: Mapping[str, str]) -> VirtualMachine:
        return await self._patch(machine, manifest.note_patch(machine.vm, tags))

    async def untag(self, machine: VirtualMachine, *keys: str) -> VirtualMachine:
        return await self._patch(machine, {"metadata": {"annotations": dict.fromkeys(keys)}})

    async def clean(self, workload_uid: str) -> bool:
        return await self._cluster.clean(workload_uid)

    def explain(self, error: Exception) -> ProviderError:
        return explain(error, self.place)

    def refusal(self, error: Exception) -> Refusal | None:
        return refusal(error) if isinstance(error, ApiException) else None

    async def close(self) -> None:
        await self._client.close()

    async def _patch(self, machine: VirtualMachine, patch: Object) -> VirtualMachine:
        return VirtualMachine.of(await self._cluster.patch(machine.vm, patch), machine.vmi)


def _checksum(disk: Object) -> str:
    """Return the checksum that a DataVolume's content is verified against."""
    return str(((disk["spec"].get("source") or {}).get("http") or {}).get("checksum") or "")


_TOO_OLD = "the class wants images to be verified, and its cluster's importer cannot do that (CDI 1.65 can): ask its owner"
