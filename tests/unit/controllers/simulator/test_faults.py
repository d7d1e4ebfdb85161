"""Cause failures on demand, and check what becomes of a host that fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.simulator import faults
from controllers.simulator.settings import Settings
from tests.unit.controllers.simulator.life import IMAGE, Life, available, new_host, provisioned


def test_what_is_demanded() -> None:
    assert faults.demanded("provisioning:3", "provisioning") == 3
    assert faults.demanded("provisioning", "provisioning") is None
    assert faults.demanded("power:1, provisioning", "power") == 1
    for nothing in ("", "provisioning:x", "everything", "power", ":"):
        assert faults.demanded(nothing, "provisioning") == 0


@given(st.text(max_size=40), st.sampled_from(sorted(faults.OPERATIONS)))
def test_any_value_is_taken(value: str, operation: str) -> None:
    times = faults.demanded(value, operation)
    if times:
        left = faults.countdown(value, operation)
        assert faults.demanded(left or "", operation) in {times - 1, *range(10**6)}


@given(st.integers(1, 50), st.sampled_from(sorted(faults.OPERATIONS - {"power"})))
def test_counting_down_ends(times: int, operation: str) -> None:
    value: str | None = f"power,{operation}:{times}"
    for _ in range(times):
        assert value is not None
        assert faults.demanded(value, operation) != 0
        value = faults.countdown(value, operation)
    assert value == "power"


@pytest.mark.parametrize(
    ("operation", "error"),
    [("registration", "registration error"), ("inspection", "inspection error"), ("preparation", "preparation error")],
)
def test_enrolment_fails_and_recovers(operation: str, error: str) -> None:
    life = Life(new_host(annotations={faults.ANNOTATION: f"{operation}:2"}))
    life.run(30)
    assert len([message for message in life.errors if message]) == 2
    assert life.events.count("".join(word.capitalize() for word in error.split())) == 2
    assert (life.state, life.status.error_count, life.status.error_message) == ("available", 0, "")
    assert life.host.metadata.annotations == {}


def test_a_failure_without_end_lasts_until_the_annotation_goes() -> None:
    life = Life(new_host(annotations={faults.ANNOTATION: "inspection"}))
    life.run(300)
    assert life.state == "inspecting"
    assert life.status.error_count > 3
    life.annotate(**{faults.ANNOTATION: None})
    life.settle()
    assert life.state == "available"


def test_failed_provisioning_deprovisions_and_tries_again() -> None:
    life = available()
    life.annotate(**{faults.ANNOTATION: "provisioning:2"})
    life.want(image=IMAGE)
    life.settle()
    again = ["provisioning", "deprovisioning", "available"]
    assert life.states == ["available", *again, *again, "provisioning", "provisioned"]
    assert life.status.provisioning_fail_count == 0


def test_provisioning_gives_up_after_five_failures_until_the_image_changes() -> None:
    life = available()
    life.annotate(**{faults.ANNOTATION: "provisioning"})
    life.want(image=IMAGE)
    life.settle(seconds=3600)
    assert life.states.count("provisioning") == 5
    assert (life.state, life.status.provisioning_fail_count, life.status.error_type) == ("available", 5, "provisioning error")
    assert "retry limit (5) reached" in life.status.error_message
    life.annotate(**{faults.ANNOTATION: None})
    life.settle()
    assert life.state == "available"
    life.want(image={**IMAGE, "checksum": "def"})
    life.settle()
    assert life.state == "provisioned"


def test_a_host_that_gave_up_is_good_again_once_nothing_is_wanted() -> None:
    life = available(settings=Settings(provisioning_retries=1))
    life.annotate(**{faults.ANNOTATION: "provisioning"})
    life.want(image=IMAGE)
    life.settle()
    assert life.status.error_message
    life.want(image=None, online=False)
    life.settle()
    assert (life.state, life.status.error_message, life.status.provisioning_fail_count) == ("available", "", 0)


def test_deprovisioning_fails_and_is_tried_again() -> None:
    life = provisioned()
    life.annotate(**{faults.ANNOTATION: "deprovisioning:2"})
    life.want(image=None)
    life.settle()
    assert life.states == ["provisioned", "deprovisioning", "available"]
    assert "ProvisioningError" in life.events


def test_deletion_gives_up_on_cleaning_after_three_attempts() -> None:
    life = provisioned()
    life.annotate(**{faults.ANNOTATION: "deprovisioning,power"})
    life.delete()
    life.settle()
    assert life.gone
    assert life.states == ["provisioned", "deprovisioning", "powering off before delete", "deleting"]


def test_power_fails_and_recovers() -> None:
    life = provisioned()
    life.annotate(**{faults.ANNOTATION: "power:3"})
    life.want(online=False)
    life.run(1.5)
    assert life.status.error_type == "power management error"
    assert {c.type: c.reason for c in life.status.conditions or ()}["Manageable"] == "PowerFailure"
    life.settle()
    assert (life.status.powered_on, life.status.error_message, life.status.error_count) == (False, "", 0)


def test_a_power_error_goes_when_its_cause_does() -> None:
    life = provisioned()
    life.annotate(**{faults.ANNOTATION: "power"})
    life.want(online=False)
    life.run(1.5)
    assert life.status.error_message
    life.want(online=True)
    life.settle()
    assert life.status.error_message == ""
