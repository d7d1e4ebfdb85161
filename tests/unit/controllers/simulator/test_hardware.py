"""Check what inspection finds."""

from __future__ import annotations

import pytest

from controllers.simulator import hardware
from tests.unit.controllers.simulator.lifecycle import new_host


@pytest.mark.parametrize("profile", sorted(hardware.PROFILES))
def test_profiles(profile: str) -> None:
    host = new_host(annotations={hardware.ANNOTATION: profile})
    found = hardware.inspect(host)
    assert found == hardware.inspect(host)
    assert found.ram_mebibytes == hardware.PROFILES[profile].ram_mebibytes
    assert found.nics is not None
    assert len({nic.mac for nic in found.nics}) == len(found.nics)
    assert found.storage
    assert len({disk.name for disk in found.storage}) == len(found.storage)
    assert len({disk.wwn for disk in found.storage}) == len(found.storage)


def test_the_boot_mac_is_the_first_nics() -> None:
    found = hardware.inspect(new_host({"bootMACAddress": "00:11:22:33:44:55"}))
    assert found.nics is not None
    assert (found.nics[0].mac, found.nics[0].pxe) == ("00:11:22:33:44:55", True)


def test_hosts_differ() -> None:
    seen = set()
    for number in range(20):
        found = hardware.inspect(new_host(name=f"host-{number}"))
        assert found.nics is not None
        seen.add(found.nics[0].mac)
    assert len(seen) == 20


def test_names_vary_the_profile() -> None:
    assert {hardware.profile_of(new_host(name=f"host-{number}")) for number in range(40)} == set(hardware.PROFILES)


def test_an_unknown_profile_is_as_good_as_none() -> None:
    assert hardware.profile_of(new_host(annotations={hardware.ANNOTATION: "huge"})) == hardware.profile_of(new_host())
