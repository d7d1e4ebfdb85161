"""Convert a VirtualMachine and its instance into the machine in a slot.

Fields are listed, not excluded. KubeVirt's own messages name nodes, namespaces and claims, so they
are for the owner only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from apiserver.apis.names import QUARANTINED
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, name_of, namespace_of, uid_of
from controllers.providers.base import Consumer
from controllers.providers.machines.flavors import Flavor, Machine, Slot
from controllers.providers.machines.instance import BOOTED, REBOOTED, REMOVING, Instance, consumer_of, flavor_of
from controllers.providers.machines.kubevirt import manifest, names
from controllers.providers.machines.kubevirt.images import image_digest
from controllers.providers.machines.kubevirt.machineerrors import DELETED, explain_machine
from controllers.providers.machines.machineerrors import QUARANTINE


@dataclass(frozen=True, slots=True)
class VirtualMachine(Instance):
    """A machine with its objects: the VirtualMachine, and its instance while it exists."""

    vm: Object = field(default_factory=dict)
    vmi: Object | None = None

    @classmethod
    def of(cls, vm: Object, vmi: Object | None) -> VirtualMachine:
        """Read a VirtualMachine. Its labels and annotations are its tags."""
        return cls(name_of(vm), _power(vm, vmi), {**labels_of(vm), **annotations_of(vm)}, vm=vm, vmi=vmi)

    @property
    def image(self) -> Object | None:
        return manifest.installed_image(self.vm)

    @property
    def booted(self) -> bool:
        return (image := self.image) is not None and self.tags.get(BOOTED) == image_digest(image)

    @property
    def rebooted(self) -> bool:
        """Return whether the recorded instance has ended."""
        return REBOOTED in self.tags and (self.vmi is None or uid_of(self.vmi) != self.tags[REBOOTED])

    @property
    def empty(self) -> bool:
        return self._stage() == "available" and self.vmi is None

    @property
    def to_free(self) -> str:
        return f"delete the VirtualMachine {self.id}"

    def machine(self, slot: Slot, model: type[Flavor]) -> Machine:
        error, problem = ("", None) if self.state == "deleting" else explain_machine(self.vm)
        return Machine(
            slot=slot,
            consumer=consumer_of(self, Consumer(names.VIRTUAL_MACHINES.kind, namespace_of(self.vm), self.id)),
            made_from=flavor_of(self, model),
            state=self._stage(),
            powered_on=self.vmi is not None and (self.vmi.get("status") or {}).get("phase") == "Running",
            image=self.image if REMOVING not in self.tags else None,
            nics=_nics(self.vm, self.vmi),
            hostname=str((self.vm["spec"].get("template") or {}).get("spec", {}).get("hostname") or "") if self.vmi is not None else "",
            error=error,
            problem=self._problem() or problem,
        )

    def _stage(self) -> str:
        if self.state == "deleting" or REMOVING in self.tags:
            return "deprovisioning"
        if self.image is None:
            return "available"
        return "provisioned" if self.booted else "provisioning"

    def _problem(self) -> tuple[str, str] | None:
        if QUARANTINED in self.tags:
            return "Quarantined", QUARANTINE.format(to_free=self.to_free)
        return ("Deleting", DELETED.format(name=self.id)) if self.state == "deleting" else None


def is_running(vmi: Object | None) -> bool:
    """Return whether the instance runs."""
    return vmi is not None and (vmi.get("status") or {}).get("phase") == "Running" and not deleting(vmi)


def _power(vm: Object, vmi: Object | None) -> str:
    """Return the state, see Instance."""
    if deleting(vm):
        return "deleting"
    match vm["spec"].get("runStrategy"):
        case manifest.RUNNING:
            return "running" if is_running(vmi) else "starting"
        case manifest.HALTED:
            return "stopped" if vmi is None else "halting"
    return "loose"


def _nics(vm: Object, vmi: Object | None) -> list[Object]:
    """Return the MAC and IP addresses, in the order of the machine's own interfaces.

    Interfaces that exist only inside the guest (such as those of containers) do not count."""
    spec = (vm["spec"].get("template") or {}).get("spec") or {}
    interfaces = ((spec.get("domain") or {}).get("devices") or {}).get("interfaces") or ()
    seen = {item.get("name"): item for item in ((vmi or {}).get("status") or {}).get("interfaces") or () if item.get("name")}
    return [
        {"mac": seen.get(item["name"], {}).get("mac") or item.get("macAddress", ""), "ip": seen.get(item["name"], {}).get("ipAddress", "")}
        for item in interfaces
    ]
