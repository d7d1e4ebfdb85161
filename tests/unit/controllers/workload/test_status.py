"""Check a Workload's status, case by case, and what holds in all cases."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.providers.base import Outcome
from controllers.runtime.conditions import find_condition
from controllers.workload.status import (
    bound_status,
    lost_status,
    must_announce,
    releasing_status,
    seems_lost,
    starting_status,
    unasked_status,
    unknown_source,
    update_refused,
)
from tests.unit.controllers.clusters import bmh, workload

BOUND = Outcome(True, "Bound", "the host is this Workload's")
SYNCED = Outcome(True, "Synchronized", "shown")
IMAGE = {"url": "http://images.example/os.qcow2"}
OLD = {"url": "http://images.example/old.qcow2"}


def observed(state: str, *, image: dict[str, Any] | None = None, powered: bool = False, error: str = "") -> dict[str, Any]:
    provisioning: dict[str, Any] = {"state": state}
    if image:
        provisioning["image"] = image
    return {**bmh("h")["status"], "provisioning": provisioning, "poweredOn": powered, "errorMessage": error}


def made(phase: str | None = None, **spec: Any) -> dict[str, Any]:
    wl = workload("w", **spec)
    wl["metadata"] |= {"uid": "u", "generation": 3}
    if phase:
        wl["status"] = {"phase": phase}
    return wl


def ready(status: dict[str, Any]) -> tuple[str, str]:
    found = find_condition(status["conditions"], "Ready")
    assert found is not None
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("wl", "seen", "phase", "is_ready"),
    [
        (made("Provisioning"), observed("provisioning"), "Provisioning", ("False", "Provisioning")),
        (made("Provisioning"), observed("provisioned", image=IMAGE, powered=True), "Running", ("True", "Running")),
        (made("Provisioning"), observed("provisioned", image=IMAGE), "Provisioning", ("False", "PowerChanging")),
        (made("Running"), observed("provisioned", image=IMAGE), "Running", ("False", "PowerChanging")),
        (made("Running"), observed("provisioned", image=IMAGE, error="x"), "Stopped", ("False", "HostError")),
        (made("Failed"), observed("provisioned", image=IMAGE), "Provisioning", ("False", "PowerChanging")),
        (made("Stopped"), observed("provisioned", image=IMAGE), "Stopped", ("False", "PowerChanging")),
        (made("Running", online=False), observed("provisioned", image=IMAGE), "Stopped", ("False", "PoweredOff")),
        (made("Running"), observed("provisioned", image=OLD, powered=True), "Running", ("True", "Running")),
        (
            made("Running", updatePolicy="Recreate"),
            observed("provisioned", image=OLD, powered=True),
            "Provisioning",
            ("False", "Provisioning"),
        ),
        (made("Provisioning"), observed("provisioning", error="no disk"), "Failed", ("False", "HostError")),
        (made("Running"), observed("provisioned", image=IMAGE, powered=True, error="x"), "Running", ("False", "HostError")),
        (made("Provisioning", online=False), observed("available"), "Provisioning", ("False", "PoweredOff")),
        (made("Bound", image=None), observed("available"), "Bound", ("True", "Reserved")),
        (made("Running", image=None), observed("deprovisioning"), "Deprovisioning", ("False", "Deprovisioning")),
    ],
)
def test_phases(wl: dict[str, Any], seen: dict[str, Any], phase: str, is_ready: tuple[str, str]) -> None:
    status = bound_status(wl, BOUND, SYNCED, seen, empty=False, now="t")
    assert status["phase"] == phase
    assert ready(status) == is_ready
    assert status["observedGeneration"] == 3


def test_the_phase_comes_back_to_bound_only_when_the_host_was_seen_empty() -> None:
    wl = made("Provisioning", image=None)
    assert bound_status(wl, BOUND, SYNCED, observed("available"), empty=False, now="t")["phase"] == "Deprovisioning"
    assert bound_status(wl, BOUND, SYNCED, observed("available"), empty=True, now="t")["phase"] == "Bound"


def test_the_phase_leaves_bound_before_anything_is_written() -> None:
    assert must_announce(made("Bound"))
    assert not must_announce(made("Bound", image=None))
    assert not must_announce(made("Running"))
    assert starting_status(made("Bound"), "t")["phase"] == "Provisioning"


@pytest.mark.parametrize(
    ("spec", "seen", "refused"),
    [
        ({}, observed("provisioned", image=OLD), True),
        ({"updatePolicy": "OnDelete"}, observed("provisioned", image=OLD), True),
        ({"image": None, "customDeploy": {"method": "x"}}, observed("provisioned", image=OLD), True),
        ({}, observed("provisioned", image=IMAGE), False),
        ({"updatePolicy": "Recreate"}, observed("provisioned", image=OLD), False),
        ({"image": None}, observed("provisioned", image=OLD), False),
        ({}, observed("provisioning", image=OLD), False),
        ({}, observed("deprovisioning", image=OLD), False),
        ({}, observed("available"), False),
        ({}, {}, False),
    ],
)
def test_a_running_system_is_replaced_only_if_the_policy_allows_it(spec: dict[str, Any], seen: dict[str, Any], refused: bool) -> None:
    found = update_refused(made("Running", **spec), seen)
    assert (found is not None) == refused
    if found is not None:
        status = bound_status(made("Running", **spec), BOUND, found, {**seen, "poweredOn": True}, empty=False, now="t")
        assert status["phase"] == "Running"
        assert ready(status) == ("False", "UpdateRefused")
        assert "Recreate" in found.message


def test_what_is_waited_for_in_vain_says_why_and_what_is_reached_stays() -> None:
    waiting = bound_status(made("Running"), BOUND, SYNCED, observed("provisioned", image=IMAGE), empty=False, stalled="paused", now="t")
    assert ready(waiting) == ("False", "HostStalled")
    reached = observed("provisioned", image=IMAGE, powered=True)
    assert ready(bound_status(made("Running"), BOUND, SYNCED, reached, empty=False, stalled="paused", now="t")) == ("True", "Running")


def test_hardware_and_addresses() -> None:
    status = bound_status(made(), BOUND, SYNCED, observed("provisioning"), empty=False, now="t")
    assert status["hardware"]["cpuCount"] == 16
    assert status["hardware"]["ram"] == "64Gi"
    assert status["hardware"]["storage"] == "1Ti"
    assert status["addresses"] == [{"type": "InternalIP", "address": "172.22.0.7"}, {"type": "Hostname", "address": "h"}]


def test_lost_and_taken() -> None:
    gone = Outcome(False, "HostGone", "gone")
    assert bound_status(made("Running"), gone, gone, observed("provisioned"), empty=False, now="t")["phase"] == "Lost"
    taken = Outcome(False, "HostTaken", "taken")
    assert bound_status(made("Running"), taken, taken, observed("provisioned"), empty=False, now="t")["phase"] == "Failed"
    assert ready(lost_status(made("Lost"), "t")) == ("False", "Lost")
    assert ready(releasing_status(made("Running"), "it is deprovisioning", "t")) == ("False", "Releasing")


states = st.sampled_from(["", "available", "provisioning", "provisioned", "deprovisioning", "inspecting", "ready"])
cases = st.tuples(
    st.sampled_from([None, "Pending", "Bound", "Provisioning", "Running", "Stopped", "Failed", "Deprovisioning"]),
    st.sampled_from([None, IMAGE, {"url": "http://other"}]),
    st.booleans(),
    st.builds(observed, states, image=st.sampled_from([None, IMAGE]), powered=st.booleans(), error=st.sampled_from(["", "broken"])),
    st.sampled_from([SYNCED, unknown_source(), Outcome(False, "SecretNotFound", "create it")]),
    st.booleans(),
)


@given(cases)
def test_in_every_case(case: Any) -> None:
    phase, image, online, seen, synchronized, empty = case
    wl = made(phase, image=image, online=online)
    status = bound_status(wl, BOUND, synchronized, seen, empty=empty, now="t1")
    if ready(status)[0] == "True":
        assert synchronized is SYNCED
        assert not seen["errorMessage"] or image is None
        assert status["phase"] in {"Running", "Bound"}
    if status["phase"] == "Running":
        assert seen["poweredOn"] or (phase == "Running" and online), "a reboot is no stop"
        assert seen["provisioning"]["state"] == "provisioned"
    # The same status twice causes no write: neither two controllers nor a resync compete over
    # timestamps.
    written = {**wl, "status": {**(wl.get("status") or {}), **{key: value for key, value in status.items() if value is not None}}}
    again = bound_status(written, BOUND, synchronized, seen, empty=empty, now="t2")
    settled = {**written, "status": {**written["status"], **{key: value for key, value in again.items() if value is not None}}}
    assert bound_status(settled, BOUND, synchronized, seen, empty=empty, now="t3") == {}


@pytest.mark.parametrize("state", ["available", "ready", "deprovisioning", "unknown"])
def test_that_a_machine_ran_is_not_forgotten_before_its_source_was_asked(state: str) -> None:
    wl = made("Provisioning")
    wl["status"] = bound_status(wl, BOUND, SYNCED, observed("provisioned", image=IMAGE, powered=True), empty=False, now="t")
    assert seems_lost(wl, observed(state))
    assert not seems_lost(wl, observed("provisioned", image=IMAGE)), "nothing is wrong"
    assert not seems_lost(made("Provisioning"), observed(state)), "it never ran"
    shown = unasked_status(wl, unknown_source(), "later")
    assert ready(shown) == ("False", "SourceUnavailable")
    assert "phase" not in shown
    provisioned = find_condition(shown["conditions"], "Provisioned")
    assert provisioned is not None
    assert provisioned["status"] == "True"


def test_a_failed_installation_stays_visible_while_it_is_tried_again() -> None:
    def next_status(seen: dict[str, Any]) -> dict[str, Any]:
        status: dict[str, Any] = {**wl["status"], **bound_status(wl, BOUND, SYNCED, seen, empty=False, now="t")}
        wl["status"] = status
        return status

    wl = made("Provisioning")
    failed = next_status({**observed("provisioning", error="the checksum is wrong"), "errorType": "provisioning error"})
    said = find_condition(failed["conditions"], "Ready")
    assert said is not None
    assert (failed["phase"], ready(failed)) == ("Failed", ("False", "ProvisioningFailed"))
    assert said["message"].startswith("the checksum is wrong (it is tried again")
    for state in ("deprovisioning", "available", "provisioning"):
        again = next_status(observed(state))
        for type_ in ("Ready", "Provisioned"):
            kept = find_condition(again["conditions"], type_)
            assert kept is not None
            assert (kept["status"], kept["reason"], kept["message"]) == ("False", "ProvisioningFailed", said["message"])
    asked = {**wl, "metadata": {**wl["metadata"], "generation": 4}}
    assert ready(bound_status(asked, BOUND, SYNCED, observed("deprovisioning"), empty=False, now="t")) == ("False", "Provisioning")
    assert ready(next_status(observed("provisioned", image=IMAGE, powered=True))) == ("True", "Running")
    assert "ProvisioningFailed" not in str(wl["status"])


def test_an_error_that_is_over_is_not_taken_for_a_failed_installation() -> None:
    wl = made("Provisioning")
    power = {**observed("provisioning", error="its power cannot be controlled"), "errorType": "power management error"}
    emptying = {**observed("deprovisioning", error="it cannot be emptied"), "errorType": "provisioning error"}
    for seen in (power, emptying):
        wl["status"] = bound_status(wl, BOUND, SYNCED, seen, empty=False, now="t")
        assert ready(wl["status"]) == ("False", "HostError")
        after = bound_status(wl, BOUND, SYNCED, observed("provisioning"), empty=False, now="t")
        assert ready(after) == ("False", "Provisioning")


@pytest.mark.parametrize(("kind", "named"), [("provisioning error", True), ("power management error", False)])
def test_what_could_not_be_installed_is_named_in_the_tenants_own_words(kind: str, named: bool) -> None:
    own = {"url": "https://images.example/" + "x" * 1000, "checksum": "https://images.example/SUMS"}
    theirs = {**observed("provisioning", image={"url": "http://theirs"}, error="a sentence"), "errorType": kind}
    status = bound_status(made("Provisioning", image=own), BOUND, SYNCED, theirs, empty=False, now="t")
    found = find_condition(status["conditions"], "Provisioned")
    assert found is not None
    assert ("https://images.example/SUMS" in found["message"]) is named
    assert found["message"].startswith("a sentence")
    assert "theirs" not in found["message"]
    assert len(found["message"]) < 700


LIMIT = (
    "it cannot be installed; it has failed 5 times in a row and is not tried again: set another image, or remove the image and set it again"
)


def limited(**condition: Any) -> dict[str, Any]:
    """Return the report of a host on which BMO has given up an image."""
    shown = {"type": "Provisioned", "status": "False", "reason": "NotProvisioned", **condition}
    return {**observed("available", error=LIMIT), "errorType": "provisioning error", "provisioningFailCount": 5, "conditions": [shown]}


def test_an_installation_that_is_given_up_is_stalled_and_says_what_to_do() -> None:
    status = bound_status(made("Provisioning"), BOUND, SYNCED, limited(), empty=False, now="t")
    assert (status["phase"], ready(status)) == ("Failed", ("False", "RetryLimitReached"))
    stalled = find_condition(status["conditions"], "Stalled")
    assert stalled is not None
    assert "set another image" in stalled["message"]
    assert IMAGE["url"] in stalled["message"]
    assert "is tried again" not in stalled["message"]


def test_the_limit_of_the_last_image_is_not_that_of_the_next_one() -> None:
    status = bound_status(made("Provisioning"), BOUND, SYNCED, limited(observedGeneration=0), empty=False, now="t")
    assert ready(status) == ("False", "ProvisioningFailed")
    assert find_condition(status["conditions"], "Stalled") is None


@pytest.mark.parametrize(("count", "shown"), [(1, "(it is tried again)"), (3, "(it has failed 3 times in a row, and is tried again)")])
def test_failures_are_counted(count: int, shown: str) -> None:
    seen = {**observed("provisioning", error="no power"), "errorType": "power management error", "errorCount": count}
    found = find_condition(bound_status(made("Provisioning"), BOUND, SYNCED, seen, empty=False, now="t")["conditions"], "Provisioned")
    assert found is not None
    assert found["message"] == f"no power {shown}"


def healthy(status: str, reason: str, message: str = "") -> dict[str, Any]:
    seen = observed("provisioned", image=IMAGE, powered=True)
    return {**seen, "conditions": [{"type": "Healthy", "status": status, "reason": reason, "message": message}]}


def test_a_tenant_learns_of_its_hosts_health_and_keeps_running() -> None:
    wl = made("Running")
    status = bound_status(wl, BOUND, SYNCED, healthy("False", "CriticalError", "ask the owner"), empty=False, now="t")
    found = find_condition(status["conditions"], "Healthy")
    assert found is not None
    assert (found["status"], found["reason"], found["message"]) == ("False", "CriticalError", "ask the owner")
    assert (status["phase"], ready(status)) == ("Running", ("True", "Running"))
    wl["status"] = status
    silent, taken = observed("provisioned", image=IMAGE, powered=True), Outcome(False, "HostTaken", "x")
    for seen, bound in ((silent, BOUND), (healthy("True", "Healthy"), taken)):
        found = find_condition(bound_status(wl, bound, SYNCED, seen, empty=False, now="t")["conditions"], "Healthy")
        assert found is not None
        assert found["status"] == "Unknown", "it is not reported any more, or it is another's host"


def test_a_source_that_reports_no_health_has_no_such_condition() -> None:
    status = bound_status(made("Running"), BOUND, SYNCED, observed("provisioned", image=IMAGE, powered=True), empty=False, now="t")
    assert find_condition(status["conditions"], "Healthy") is None
