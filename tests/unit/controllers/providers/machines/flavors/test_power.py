"""Check which reboot annotations keep a machine powered off."""

from __future__ import annotations

from controllers.providers.machines.flavors import held_off


def test_only_a_suffix_holds_the_power_off() -> None:
    assert not held_off(["reboot.metal3.io", "other/reboot.metal3.io", "reboot.metal3.iox/y"])
    assert held_off(["x", "reboot.metal3.io/remediation"])
