"""Cover power and reboots."""

from __future__ import annotations

import pytest

from controllers.simulator.settings import Settings
from tests.unit.controllers.simulator.lifecycle import available, provisioned

REBOOT = "reboot.metal3.io"
REMEDIATION = "reboot.metal3.io/metal3-remediation-1234"


def test_power_follows_online() -> None:
    lifecycle = provisioned()
    lifecycle.want(online=False)
    lifecycle.settle()
    lifecycle.want(online=True)
    lifecycle.settle()
    assert lifecycle.powers == [True, False, True]
    assert lifecycle.states == ["provisioned"]


def test_an_available_host_follows_online_too() -> None:
    lifecycle = available()
    lifecycle.want(online=False)
    lifecycle.settle()
    assert lifecycle.powers == [True, False]


@pytest.mark.parametrize("value", ["", '{"mode":"hard"}', "no JSON", "[]"])
def test_a_plain_reboot_goes_off_and_on_once(value: str) -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{REBOOT: value})
    lifecycle.settle()
    assert lifecycle.powers == [True, False, True]
    assert lifecycle.host.metadata.annotations == {}


def test_a_suffixed_reboot_holds_the_power_off_until_it_is_removed() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{REMEDIATION: '{"mode":"hard","force":false}'})
    lifecycle.settle()
    assert lifecycle.powers == [True, False]
    assert REMEDIATION in (lifecycle.host.metadata.annotations or {})
    lifecycle.annotate(**{REMEDIATION: None})
    lifecycle.settle()
    assert lifecycle.powers == [True, False, True]


def test_both_kinds_of_reboot() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{REBOOT: "", REMEDIATION: ""})
    lifecycle.settle()
    assert lifecycle.host.metadata.annotations == {REMEDIATION: ""}
    assert lifecycle.status.powered_on is False


def test_an_available_host_reboots_only_with_force() -> None:
    lifecycle = available()
    lifecycle.annotate(**{REMEDIATION: '{"mode":"hard"}'})
    lifecycle.settle()
    assert lifecycle.powers == [True]
    lifecycle.annotate(**{REMEDIATION: '{"mode":"hard","force":true}'})
    lifecycle.settle()
    assert lifecycle.powers == [True, False]


def test_a_host_that_may_not_be_off_restarts_in_place() -> None:
    lifecycle = provisioned(disablePowerOff=True)
    lifecycle.annotate(**{REBOOT: ""})
    lifecycle.settle()
    assert lifecycle.powers == [True]
    assert lifecycle.host.metadata.annotations == {}
    lifecycle.want(online=False, image=lifecycle.host.spec.encode()["image"])
    lifecycle.settle()
    assert lifecycle.powers == [True]


@pytest.mark.parametrize("keeps", [False, True])
def test_deprovisioning_removes_reboot_annotations(keeps: bool) -> None:
    lifecycle = provisioned()
    lifecycle.settings = Settings(keep_suffixed_reboots=keeps)
    lifecycle.annotate(**{REBOOT: "", REMEDIATION: "", "other": "stays"})
    lifecycle.want(image=None)
    lifecycle.settle()
    assert lifecycle.state == "available"
    assert lifecycle.host.metadata.annotations == {"other": "stays"} | ({REMEDIATION: ""} if keeps else {})
