"""Check the next step of a machine."""

from __future__ import annotations

import pytest

from controllers.providers.machines.instance import BOOTED, IMAGE, REBOOTED, REMOVING, Instance
from controllers.providers.machines.steps import DesiredState, Step, next_step

URL = "http://images.example/os"
OS = {"url": URL}
UNRECORDED = DesiredState(True, image=OS, recorded=False)
ON, OFF = DesiredState(True, image=OS), DesiredState(False, image=OS)
REBOOTING = DesiredState(True, image=OS, annotations={"reboot.metal3.io": ""})


def instance(state: str, *tags: str, image: str = URL) -> Instance:
    return Instance("i-1", state, {IMAGE: image, **dict.fromkeys(tags, "true")})


@pytest.mark.parametrize(
    ("there", "desired", "step"),
    [
        (None, ON, Step.CREATE),
        (None, OFF, None),
        (None, DesiredState(True), None),
        (None, DesiredState(True, held=True, image=OS), None),
        (instance("pending"), ON, Step.WAIT),
        (instance("running"), ON, Step.NOTE_BOOTED),
        (instance("running", BOOTED), ON, None),
        (instance("running", BOOTED), OFF, Step.STOP),
        (instance("stopping", BOOTED), OFF, Step.WAIT),
        (instance("stopped", BOOTED), OFF, None),
        (instance("stopped", BOOTED), ON, Step.START),
        (instance("running", BOOTED), REBOOTING, Step.REBOOT),
        (instance("running", BOOTED, REBOOTED), REBOOTING, None),
        (instance("running", BOOTED, REBOOTED), ON, Step.FORGET_REBOOT),
        (instance("running", BOOTED, image="http://old"), ON, Step.NOTE_REMOVING),
        (instance("running", BOOTED, image="http://old"), DesiredState(True), Step.NOTE_REMOVING),
        (instance("running", BOOTED, image="http://old"), DesiredState(True, held=True), None),
        (instance("running", BOOTED, REMOVING), ON, Step.ERASE),
        (instance("shutting-down", REMOVING), ON, Step.WAIT),
        (instance("running", BOOTED, image="http://old"), UNRECORDED, Step.NOTE_REMOVING),
        (instance("running", BOOTED, REMOVING), UNRECORDED, Step.WAIT),
        (instance("error"), ON, Step.DISCARD),
        (instance("error", image="http://old"), ON, Step.DISCARD),
        (instance("error", BOOTED), ON, None),
        (instance("error", BOOTED), REBOOTING, Step.REBOOT),
        (instance("error", BOOTED, image="http://old"), ON, Step.ERASE),
        (instance("error", BOOTED, image="http://old"), UNRECORDED, Step.WAIT),
        (instance("held", BOOTED), OFF, None),
        (instance("pending", BOOTED, REBOOTED), ON, Step.WAIT),
    ],
)
def test_steps(there: Instance | None, desired: DesiredState, step: Step | None) -> None:
    assert next_step(there, desired) == step
