"""Cover power and reboots."""

from __future__ import annotations

import pytest

from controllers.simulator.settings import Settings
from tests.unit.controllers.simulator.life import available, provisioned

REBOOT = "reboot.metal3.io"
REMEDIATION = "reboot.metal3.io/metal3-remediation-1234"


def test_power_follows_online() -> None:
    life = provisioned()
    life.want(online=False)
    life.settle()
    life.want(online=True)
    life.settle()
    assert life.powers == [True, False, True]
    assert life.states == ["provisioned"]


def test_an_available_host_follows_online_too() -> None:
    life = available()
    life.want(online=False)
    life.settle()
    assert life.powers == [True, False]


@pytest.mark.parametrize("value", ["", '{"mode":"hard"}', "no JSON", "[]"])
def test_a_plain_reboot_goes_off_and_on_once(value: str) -> None:
    life = provisioned()
    life.annotate(**{REBOOT: value})
    life.settle()
    assert life.powers == [True, False, True]
    assert life.host.metadata.annotations == {}


def test_a_suffixed_reboot_holds_the_power_off_until_it_is_removed() -> None:
    life = provisioned()
    life.annotate(**{REMEDIATION: '{"mode":"hard","force":false}'})
    life.settle()
    assert life.powers == [True, False]
    assert REMEDIATION in (life.host.metadata.annotations or {})
    life.annotate(**{REMEDIATION: None})
    life.settle()
    assert life.powers == [True, False, True]


def test_both_kinds_of_reboot() -> None:
    life = provisioned()
    life.annotate(**{REBOOT: "", REMEDIATION: ""})
    life.settle()
    assert life.host.metadata.annotations == {REMEDIATION: ""}
    assert life.status.powered_on is False


def test_an_available_host_reboots_only_with_force() -> None:
    life = available()
    life.annotate(**{REMEDIATION: '{"mode":"hard"}'})
    life.settle()
    assert life.powers == [True]
    life.annotate(**{REMEDIATION: '{"mode":"hard","force":true}'})
    life.settle()
    assert life.powers == [True, False]


def test_a_host_that_may_not_be_off_restarts_in_place() -> None:
    life = provisioned(disablePowerOff=True)
    life.annotate(**{REBOOT: ""})
    life.settle()
    assert life.powers == [True]
    assert life.host.metadata.annotations == {}
    life.want(online=False, image=life.host.spec.encode()["image"])
    life.settle()
    assert life.powers == [True]


@pytest.mark.parametrize("keeps", [False, True])
def test_deprovisioning_removes_reboot_annotations(keeps: bool) -> None:
    life = provisioned()
    life.settings = Settings(keep_suffixed_reboots=keeps)
    life.annotate(**{REBOOT: "", REMEDIATION: "", "other": "stays"})
    life.want(image=None)
    life.settle()
    assert life.state == "available"
    assert life.host.metadata.annotations == {"other": "stays"} | ({REMEDIATION: ""} if keeps else {})
