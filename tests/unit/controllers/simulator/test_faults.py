"""Cause failures on demand, and check what becomes of a host that fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.simulator import faults
from controllers.simulator.settings import Settings
from tests.unit.controllers.simulator.lifecycle import IMAGE, HostLifecycle, available, new_host, provisioned


def test_demanded_faults_are_parsed() -> None:
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
    lifecycle = HostLifecycle(new_host(annotations={faults.ANNOTATION: f"{operation}:2"}))
    lifecycle.run(30)
    assert len([message for message in lifecycle.errors if message]) == 2
    assert lifecycle.events.count("".join(word.capitalize() for word in error.split())) == 2
    assert (lifecycle.state, lifecycle.status.error_count, lifecycle.status.error_message) == ("available", 0, "")
    assert lifecycle.host.metadata.annotations == {}


def test_a_failure_without_end_lasts_until_the_annotation_is_removed() -> None:
    lifecycle = HostLifecycle(new_host(annotations={faults.ANNOTATION: "inspection"}))
    lifecycle.run(300)
    assert lifecycle.state == "inspecting"
    assert lifecycle.status.error_count > 3
    lifecycle.annotate(**{faults.ANNOTATION: None})
    lifecycle.settle()
    assert lifecycle.state == "available"


def test_failed_provisioning_deprovisions_and_tries_again() -> None:
    lifecycle = available()
    lifecycle.annotate(**{faults.ANNOTATION: "provisioning:2"})
    lifecycle.want(image=IMAGE)
    lifecycle.settle()
    again = ["provisioning", "deprovisioning", "available"]
    assert lifecycle.states == ["available", *again, *again, "provisioning", "provisioned"]
    assert lifecycle.status.provisioning_fail_count == 0


def test_provisioning_gives_up_after_five_failures_until_the_image_changes() -> None:
    lifecycle = available()
    lifecycle.annotate(**{faults.ANNOTATION: "provisioning"})
    lifecycle.want(image=IMAGE)
    lifecycle.settle(seconds=3600)
    assert lifecycle.states.count("provisioning") == 5
    assert (lifecycle.state, lifecycle.status.provisioning_fail_count, lifecycle.status.error_type) == (
        "available",
        5,
        "provisioning error",
    )
    assert "retry limit (5) reached" in lifecycle.status.error_message
    lifecycle.annotate(**{faults.ANNOTATION: None})
    lifecycle.settle()
    assert lifecycle.state == "available"
    lifecycle.want(image={**IMAGE, "checksum": "def"})
    lifecycle.settle()
    assert lifecycle.state == "provisioned"


def test_a_host_that_gave_up_is_good_again_once_nothing_is_wanted() -> None:
    lifecycle = available(settings=Settings(provisioning_retries=1))
    lifecycle.annotate(**{faults.ANNOTATION: "provisioning"})
    lifecycle.want(image=IMAGE)
    lifecycle.settle()
    assert lifecycle.status.error_message
    lifecycle.want(image=None, online=False)
    lifecycle.settle()
    assert (lifecycle.state, lifecycle.status.error_message, lifecycle.status.provisioning_fail_count) == ("available", "", 0)


def test_deprovisioning_fails_and_is_tried_again() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{faults.ANNOTATION: "deprovisioning:2"})
    lifecycle.want(image=None)
    lifecycle.settle()
    assert lifecycle.states == ["provisioned", "deprovisioning", "available"]
    assert "ProvisioningError" in lifecycle.events


def test_deletion_gives_up_on_cleaning_after_three_attempts() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{faults.ANNOTATION: "deprovisioning,power"})
    lifecycle.delete()
    lifecycle.settle()
    assert lifecycle.gone
    assert lifecycle.states == ["provisioned", "deprovisioning", "powering off before delete", "deleting"]


def test_power_fails_and_recovers() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{faults.ANNOTATION: "power:3"})
    lifecycle.want(online=False)
    lifecycle.run(1.5)
    assert lifecycle.status.error_type == "power management error"
    assert {c.type: c.reason for c in lifecycle.status.conditions or ()}["Manageable"] == "PowerFailure"
    lifecycle.settle()
    assert (lifecycle.status.powered_on, lifecycle.status.error_message, lifecycle.status.error_count) == (False, "", 0)


def test_a_power_error_ends_with_its_cause() -> None:
    lifecycle = provisioned()
    lifecycle.annotate(**{faults.ANNOTATION: "power"})
    lifecycle.want(online=False)
    lifecycle.run(1.5)
    assert lifecycle.status.error_message
    lifecycle.want(online=True)
    lifecycle.settle()
    assert lifecycle.status.error_message == ""
