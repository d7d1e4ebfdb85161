"""Compute the settings that a host takes over while it is prepared: root device hints, RAID,
firmware."""

from __future__ import annotations

from apiserver.apis.metal3 import BareMetalHost, BareMetalHostSpec, RootDeviceHints


def root_device_hints(spec: BareMetalHostSpec) -> RootDeviceHints | None:
    """Return the hints in force.

    A RAID volume that is the root needs no hints. Otherwise the hints are those of the spec, or
    else those of the hardware profile `unknown`."""
    volumes = (spec.raid.software_raid_volumes if spec.raid else None) or ()
    if any(volume.root_volume for volume in volumes):
        return None
    return spec.root_device_hints or RootDeviceHints(device_name="/dev/sda")


def settings_differ(host: BareMetalHost) -> bool:
    """Return whether an available host must be prepared again."""
    assert host.status is not None
    settled = host.status.provisioning
    wanted = (root_device_hints(host.spec), host.spec.raid, host.spec.firmware)
    return (settled.root_device_hints, settled.raid, settled.firmware) != wanted
