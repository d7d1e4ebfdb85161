"""Check which conditions of a real host tenants see: listed types and reasons, our own sentences,
and nothing of the owner's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.host import HostReport
from apiserver.apis.hostconditions import REASONS, TYPES, derived, failed_attempts, gave_up
from controllers.providers.baremetalhost.conditions import shown_conditions
from controllers.providers.baremetalhost.report import Policy, provider_host
from tests.unit.controllers.clusters import bmh

SINCE = "2026-05-01T10:00:00Z"
LIMIT = "provisioning failed 5 times, retry limit (5) reached; change image or reset provisioningFailCount to retry"


def condition(type_: str, status: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": SINCE, **more}


def host(*conditions: dict[str, Any], generation: int = 3, **status: Any) -> dict[str, Any]:
    made = bmh("h1")
    made["metadata"] |= {"uid": "u1", "namespace": "metal3", "generation": generation}
    made["status"] |= {"conditions": list(conditions), **status}
    return made


def shown(*conditions: dict[str, Any], error: str = "", **more: Any) -> dict[str, dict[str, Any]]:
    return {item["type"]: item for item in shown_conditions(host(*conditions, **more), error)}


def test_the_six_conditions_are_reported_with_their_times() -> None:
    made = host(*(condition(type_, "False", reasons[0], observedGeneration=3) for type_, reasons in REASONS.items()))
    report = provider_host(made, Policy()).report
    HostReport.decode(report)
    found = report["status"]["conditions"]
    assert [item["type"] for item in found] == list(TYPES)
    assert all(item["lastTransitionTime"] == SINCE for item in found)
    assert not any("observedGeneration" in item for item in found), "the real host's generation says nothing to a tenant"


@given(st.text(max_size=40), st.text(max_size=80), st.text(max_size=40))
def test_no_word_of_the_source_gets_through(type_: str, message: str, reason: str) -> None:
    found = shown(
        condition(f"canary{type_}", "True", "Provisioned"),
        condition("Provisioned", "False", f"canary{reason}", message=f"canary{message} redfish://10.1.2.3"),
        condition("Healthy", "False", "CriticalError", message="canary: fan 3 of idrac-7.corp.example"),
        condition("Ready", "False", "Error", message="canary"),
    )
    assert set(found) == {"Provisioned", "Healthy", "Ready"}
    assert "canary" not in str(found)
    assert found["Provisioned"]["reason"] == "Other"
    assert "ask the hardware's owner" in found["Healthy"]["message"]


@pytest.mark.parametrize(
    "bad", [{"lastTransitionTime": None}, {"lastTransitionTime": "canary"}, {"status": "canary"}, {"status": None}, {"type": None}]
)
def test_malformed_conditions_are_left_out(bad: dict[str, Any]) -> None:
    assert not shown({**condition("Ready", "True", "Provisioned"), **bad})


def test_the_first_of_two_conditions_of_a_type_counts() -> None:
    found = shown_conditions(host(condition("Ready", "True", "Provisioned"), condition("Ready", "False", "Error")), "")
    assert [item["status"] for item in found] == ["True"]


@pytest.mark.parametrize(("observed", "behind"), [(None, False), (3, False), (4, False), (2, True)])
def test_a_condition_about_an_earlier_spec_says_so(observed: int | None, behind: bool) -> None:
    more = {} if observed is None else {"observedGeneration": observed}
    assert shown(condition("Ready", "True", "Provisioned", **more))["Ready"].get("observedGeneration") == (0 if behind else None)


def test_an_error_is_replaced_by_its_message_for_tenants() -> None:
    found = shown(condition("Ready", "False", "Error"), condition("Provisioned", "False", "NotProvisioned"), error="it is broken")
    assert {item["message"] for item in found.values()} == {"it is broken"}
    found = shown(condition("Ready", "False", "Error"), condition("Provisioned", "True", "Provisioned"), error="it is broken")
    assert found["Provisioned"]["message"] == ""


@pytest.mark.parametrize(
    ("state", "error", "message", "count", "said"),
    [
        ("provisioning", "provisioning error", "canary", 0, "it has failed once, and is tried again"),
        ("provisioning", "provisioning error", "canary", 1, "it has failed 2 times in a row, and is tried again"),
        ("deprovisioning", None, "", 2, "it has failed 2 times in a row, and is tried again"),
        ("provisioning", None, "", 2, "it has failed 2 times in a row, and is tried again"),
        ("provisioning", None, "", 0, ""),
        ("available", "provisioning error", "canary", None, ""),
        ("provisioning", "provisioning error", "canary", None, ""),
        ("available", "provisioning error", LIMIT, 5, "it has failed 5 times in a row and is not tried again: set another image"),
        ("available", "provisioning error", LIMIT, None, "it has failed and is not tried again: set another image, or remove"),
        ("available", "provisioning error", LIMIT, 10**9, "it has failed 1000 times in a row and is not tried again"),
    ],
)
def test_attempts_are_counted_in_the_tenants_terms(state: str, error: str | None, message: str, count: int | None, said: str) -> None:
    status: dict[str, Any] = {"provisioning": {"state": state}, "errorType": error, "errorMessage": message, "provisioningFailCount": count}
    assert failed_attempts(status).startswith(said)
    assert bool(failed_attempts(status)) == bool(said)
    reported = provider_host(host(condition("Provisioned", "False", "NotProvisioned"), **status), Policy()).report["status"]
    assert said in reported["errorMessage"] or not message
    assert said in reported["conditions"][0]["message"]
    assert not any(word in str(reported) for word in ("canary", "retry limit", "provisioningFailCount to"))
    assert gave_up(reported) == gave_up(status), "a relay reads the report of another cluster"


@pytest.mark.parametrize("state", ["", "unmanaged", "registering", "inspecting", "preparing", "available", "provisioning", "provisioned"])
def test_derived_conditions_are_never_unknown_except_healthy(state: str) -> None:
    for operational in ("OK", "error", "servicing", "detached"):
        found = derived(state, operational)
        assert set(found) == set(TYPES) - {"Healthy"}, "only the BMC knows the health"
        assert all(reason in REASONS[type_] for type_, (_, reason) in found.items())
        assert (found["Provisioned"][0] == "True") == (state == "provisioned")
