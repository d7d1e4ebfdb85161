"""Check the conditions of a view: their times and generations, and that they agree with the state
that the view shows."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.apis.metal3 import BareMetalHost
from apiserver.registry.claims.conditions import complete, of_state, shown, with_conditions
from apiserver.registry.claims.projection import project, projection_inputs

EARLY, CREATED, LATE, NOW = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3, 4))
IMAGE = {"url": "http://images.example/os"}


def condition(type_: str, status: str, since: str = LATE, **more: Any) -> dict[str, Any]:
    return {"type": type_, "status": status, "reason": "Provisioned", "message": "", "lastTransitionTime": since, **more}


def host(state: str = "provisioned", *conditions: dict[str, Any], claimed: bool = True, **status: Any) -> dict[str, Any]:
    reported: dict[str, Any] = {"operationalStatus": "OK", "poweredOn": True, "provisioning": {"state": state, "image": IMAGE}, **status}
    if conditions:
        reported["conditions"] = list(conditions)
    spec: dict[str, Any] = {"className": "metal", "source": {"name": "h", "uid": "real"}}
    if claimed:
        spec["claimRef"] = {"namespace": "a", "name": "w", "uid": "w-uid"}
    report = {"name": "h", "spec": {"online": True}, "status": reported}
    return {"metadata": {"name": "h-id"}, "spec": spec, "status": {"available": not claimed, "report": report}}


def workload(*, generation: int = 2, applied: int | None = 2, image: Any = IMAGE, bound: str = "Bound") -> dict[str, Any]:
    conditions: list[dict[str, Any]] = [{"type": "Bound", "status": "True" if bound == "Bound" else "False", "reason": bound}]
    if applied is not None:
        conditions.append({"type": "Synchronized", "status": "True", "reason": "Synchronized", "observedGeneration": applied})
    spec: dict[str, Any] = {"online": True, **({"image": image} if image else {})}
    metadata = {"name": "w", "namespace": "a", "uid": "w-uid", "generation": generation}
    status = {"phase": "Running", "conditions": conditions}
    return {"apiVersion": "workload.metal3.io/v1alpha1", "metadata": metadata, "spec": spec, "status": status}


def stored(made: dict[str, Any], old: dict[str, Any] | None = None, generation: int = 3) -> dict[str, Any]:
    made["metadata"] |= {"creationTimestamp": CREATED, "generation": generation}
    made["status"]["conditions"] = complete(made, old, NOW)
    BareMetalHost.decode(made)
    return made


def by_type(view: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["type"]: item for item in view["status"]["conditions"]}


def test_what_the_source_reports_is_shown_with_its_time_and_the_views_generation() -> None:
    found = by_type(stored(project(host("provisioned", condition("Provisioned", "True")), workload(), "a", "h")))
    assert set(found) == {"Provisioned"}
    assert (found["Provisioned"]["lastTransitionTime"], found["Provisioned"]["observedGeneration"]) == (LATE, 3)


@pytest.mark.parametrize("type_", ["Provisioned", "Ready", "Progressing", "AvailableForProvisioning"])
def test_a_transition_of_an_earlier_tenant_is_shown_as_old_as_the_view(type_: str) -> None:
    free = host("available", condition(type_, "False", EARLY), claimed=False)
    assert by_type(stored(project(free, None, "b", "h")))[type_]["lastTransitionTime"] == CREATED


def test_the_health_is_no_tenants_doing() -> None:
    free = host("available", condition("Healthy", "False", EARLY), claimed=False)
    assert by_type(stored(project(free, None, "b", "h")))["Healthy"]["lastTransitionTime"] == EARLY


@pytest.mark.parametrize(
    ("why", "made", "asked"),
    [
        ("not written to the host yet", condition("Provisioned", "True"), workload(generation=3, applied=2)),
        ("never written to the host", condition("Provisioned", "True"), workload(applied=None)),
        ("another image is asked for", condition("Provisioned", "True"), workload(image={"url": "http://images.example/other"})),
        ("BMO has not looked at it yet", condition("Provisioned", "True", observedGeneration=0), workload()),
    ],
)
def test_a_condition_about_an_earlier_spec_does_not_end_a_wait(why: str, made: dict[str, Any], asked: dict[str, Any]) -> None:
    before = stored(project(host("provisioned", condition("Provisioned", "True")), workload(), "a", "h"), generation=2)
    after = stored(project(host("provisioned", made), asked, "a", "h"), before)
    assert by_type(after)["Provisioned"]["observedGeneration"] == 2, why
    assert by_type(stored(project(host("provisioned", made), asked, "a", "h")))["Provisioned"]["observedGeneration"] == 2, why


def test_the_view_follows_when_the_spec_has_reached_the_host() -> None:
    assert projection_inputs(workload(generation=3, applied=2)) != projection_inputs(workload(generation=3, applied=3))


def test_conditions_agree_with_a_state_that_the_view_shows_instead() -> None:
    full = host("provisioned", condition("Provisioned", "True"), condition("Ready", "True"), condition("Healthy", "False", EARLY))
    leaving = stored(project(full, workload(image=None), "a", "h"))
    assert leaving["status"]["provisioning"]["state"] == "deprovisioning"
    found = by_type(leaving)
    assert [found[type_]["status"] for type_ in ("Provisioned", "Ready", "Progressing", "Healthy")] == ["False", "False", "True", "False"]
    assert found["Progressing"]["reason"] == "Deprovisioning"
    assert found["Provisioned"]["lastTransitionTime"] == NOW


def test_a_lost_claim_has_nothing_of_the_host_that_another_consumer_has() -> None:
    full = host("provisioned", condition("Provisioned", "True"), condition("Healthy", "False"))
    found = by_type(stored(project(full, workload(bound="HostTaken"), "a", "h")))
    assert {item["status"] for item in found.values()} == {"False"}
    assert "Healthy" not in found
    assert "another one" in found["Provisioned"]["message"]


@pytest.mark.parametrize(("state", "provisioned"), [("available", "False"), ("provisioning", "False"), ("provisioned", "True")])
def test_a_source_without_conditions_has_those_of_its_state(state: str, provisioned: str) -> None:
    view = stored(project(host(state), workload(), "a", "h"))
    assert by_type(view)["Provisioned"]["status"] == provisioned
    assert "Healthy" not in by_type(view), "nobody knows"
    again = stored(project(host(state), workload(), "a", "h"), view)
    assert again["status"]["conditions"] == view["status"]["conditions"]


def test_derived_times_change_with_the_status_alone() -> None:
    first = stored(project(host("provisioning"), workload(), "a", "h"))
    for item in first["status"]["conditions"]:
        item["lastTransitionTime"] = EARLY
    found = by_type(stored(project(host("provisioned"), workload(), "a", "h"), first))
    assert (found["Provisioned"]["lastTransitionTime"], found["Manageable"]["lastTransitionTime"]) == (NOW, EARLY)


def test_an_error_is_reported_in_derived_conditions_too() -> None:
    reported = {"operationalStatus": "error", "errorMessage": "it is broken", "provisioning": {"state": "provisioning"}}
    found = {item["type"]: item for item in of_state(reported, "provisioning")}
    assert (found["Ready"]["reason"], found["Ready"]["message"]) == ("Error", "it is broken")
    assert found["Provisioned"]["message"] == "it is broken"


def test_views_of_earlier_versions_get_conditions() -> None:
    metadata = {"name": "h", "namespace": "a", "generation": 7, "creationTimestamp": CREATED}
    old: dict[str, Any] = {
        "metadata": metadata,
        "spec": {},
        "status": {"lastUpdated": LATE, "provisioning": {"state": "provisioned", "ID": "x"}},
    }
    found = by_type(with_conditions(old))
    assert (found["Provisioned"]["status"], found["Provisioned"]["observedGeneration"]) == ("True", 7)
    assert found["Provisioned"]["lastTransitionTime"] == LATE
    assert "conditions" not in old["status"]
    new = with_conditions(old)
    assert with_conditions(new) is new


def test_shown_conditions_are_the_callers_own() -> None:
    reported = host("provisioned", condition("Provisioned", "True"))["status"]["report"]["status"]
    shown(reported, settled=False)[0]["status"] = "changed"
    assert reported["conditions"][0] == condition("Provisioned", "True")
