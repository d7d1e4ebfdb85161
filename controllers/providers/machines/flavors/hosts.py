"""Convert flavors and the existing machines into the hosts to report.

A slot without a machine is a host in state available, with the hardware that the flavor promises. A
slot with a machine is that machine, with the hardware that it was created with: later changes of
the flavor do not affect it. A slot that is not offered any more disappears with its machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apiserver.client.objects import Object
from controllers.providers.base import Consumer, ProviderHost, Source
from controllers.providers.machines.flavors.changes import differences
from controllers.providers.machines.flavors.model import Flavor
from controllers.providers.machines.flavors.slots import Slot, mac_address, slot_name, slot_uid

ROOT_DISK = "/dev/vda"


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that exists, is being created, or is being removed, in one of the class's slots.

    `made_from`: the flavor at the time of the creation, as recorded with the machine; None if
    unknown.

    `state`: a BareMetalHost's: available (the slot is held and nothing is on it), provisioning,
    provisioned, deprovisioning.

    `image`, `custom_deploy`: what is on it, in the form of HostReport.

    `nics`: what is known of each NIC beyond the flavor (mac, ip), in its order.

    `error`: the error for the tenant, without addresses and names of the owner. `problem`: (reason,
    message) for the owner."""

    slot: Slot
    consumer: Consumer
    made_from: Flavor | None
    state: str
    powered_on: bool = False
    image: Object | None = None
    custom_deploy: Object | None = None
    nics: Sequence[Object] = ()
    hostname: str = ""
    error: str = ""
    problem: tuple[str, str] | None = None


def offered_slots(flavors: Iterable[Flavor]) -> list[Slot]:
    """Return the slots that the flavors have capacity for, in order."""
    return sorted(Slot(flavor.name, index) for flavor in flavors for index in range(flavor.capacity))


def synthetic_host(
    place: str,
    slot: Slot,
    flavor: Flavor | None,
    machine: Machine | None,
    *,
    namespace: str = "",
    manufacturer: str = "",
    macs: bool = True,
) -> ProviderHost | None:
    """Return the host of one slot; None if it is neither offered nor taken.

    `place`: see `slot_uid`.

    `flavor`: the class's flavor that the slot names, if it exists.

    `namespace`: the namespace of Source, which shows the owner where the machine is.

    `manufacturer`: the manufacturer of the hardware, as tenants see it.

    `macs`: whether machines are created with the addresses of `mac_address`, so that a free host
    has them already."""
    uid = slot_uid(place, slot)
    source = Source(namespace, slot_name(slot), uid)
    if machine is not None:
        return _taken(source, machine, flavor, manufacturer=manufacturer, macs=macs)
    if flavor is None or slot.index >= flavor.capacity:
        return None
    report = _report(source, flavor, flavor.labels, machine_status(flavor, uid, None, manufacturer=manufacturer, macs=macs), macs=macs)
    return ProviderHost(source, report, available=True)


def machine_status(flavor: Flavor | None, uid: str, machine: Machine | None, *, manufacturer: str = "", macs: bool = True) -> Object:
    """Return the HostReport `status` of the slot with this uid.

    `apply` returns it as `observed`, and the host's report contains it."""
    status: Object = {"operationalStatus": "OK", "errorMessage": "", "errorCount": 0, "poweredOn": False}
    provisioning: Object = {"state": "available", "ID": ""}
    if machine is not None:
        status["poweredOn"] = machine.powered_on
        provisioning["state"] = machine.state
        if machine.error:
            status |= {"operationalStatus": "error", "errorType": "provisioning error", "errorMessage": machine.error, "errorCount": 1}
        if machine.image:
            provisioning["image"] = machine.image
        if machine.custom_deploy:
            provisioning["customDeploy"] = machine.custom_deploy
    status["provisioning"] = provisioning
    if flavor is not None:
        status["hardware"] = _hardware(flavor, uid, machine, manufacturer=manufacturer, macs=macs)
    return status


def _taken(source: Source, machine: Machine, flavor: Flavor | None, *, manufacturer: str, macs: bool) -> ProviderHost:
    """Return the host of a slot with a machine.

    It is not available to others, and its owner reads whether the class has changed since."""
    made_from = machine.made_from or flavor
    labels = (flavor or made_from).labels if made_from is not None else {}
    status = machine_status(made_from, source.uid, machine, manufacturer=manufacturer, macs=macs)
    report = _report(source, made_from, labels, status, macs=macs)
    reason, message = machine.problem or _drift(machine, flavor) or _in_use(machine.consumer)
    return ProviderHost(source, report, available=False, reason=reason, message=message, consumer=machine.consumer)


def _drift(machine: Machine, flavor: Flavor | None) -> tuple[str, str] | None:
    """Return why a machine created now would differ, or would not be created."""
    name, index = machine.slot.flavor, machine.slot.index
    if flavor is None:
        return (
            "FlavorRemoved",
            f'the class has no flavor "{name}" any more: the machine keeps running until it is released',
        )
    if index >= flavor.capacity:
        message = f'flavor "{name}" has a capacity of {flavor.capacity} now: the machine keeps running until it is released'
        return "BeyondCapacity", message
    if machine.made_from is not None and (changed := differences(machine.made_from, flavor)):
        what = ", ".join(changed)
        return "FlavorChanged", f'it was created before flavor "{name}" was changed ({what}): it stays as it is until it is released'
    return None


def _in_use(consumer: Consumer) -> tuple[str, str]:
    who = f"{consumer.kind} {consumer.namespace}/{consumer.name}"
    return ("Claimed", f"{who} has it") if consumer.workload_uid else ("InUse", f"{who} has it, which is not a Workload of this cluster")


def _report(source: Source, flavor: Flavor | None, labels: Mapping[str, str], status: Object, *, macs: bool) -> Object:
    spec: Object = {"online": False, "automatedCleaningMode": "metadata"}
    if flavor is not None:
        spec["architecture"] = flavor.architecture
    nics = (status.get("hardware") or {}).get("nics") or ()
    if macs and nics and nics[0].get("mac"):
        spec["bootMACAddress"] = nics[0]["mac"]
    report: Object = {"name": source.name, "spec": spec, "status": status}
    if labels:
        report["labels"] = dict(labels)
    return report


def _hardware(flavor: Flavor, uid: str, machine: Machine | None, *, manufacturer: str, macs: bool) -> Object:
    hardware: Object = {
        "cpu": {"arch": flavor.architecture, "count": flavor.cpu},
        "ramMebibytes": flavor.memory_mebibytes,
        "storage": [{"name": ROOT_DISK, "sizeBytes": flavor.disk_bytes, "rotational": False, "type": "SSD"}],
        "nics": [
            {"name": nic.name, **({"mac": mac_address(uid, index)} if macs else {}), **_seen(machine, index)}
            for index, nic in enumerate(flavor.nics)
        ],
        "systemVendor": {"manufacturer": manufacturer, "productName": flavor.name, "serialNumber": uid},
    }
    if machine is not None and machine.hostname:
        hardware["hostname"] = machine.hostname
    return hardware


def _seen(machine: Machine | None, index: int) -> Object:
    nics = machine.nics if machine is not None else ()
    return {key: value for key, value in nics[index].items() if value and key in {"mac", "ip"}} if index < len(nics) else {}
