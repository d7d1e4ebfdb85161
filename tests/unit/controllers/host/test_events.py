"""Check which Events tell the owner what happened to a machine."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.host.events import host_events

CLAIM = {"namespace": "tenant-a", "name": "web", "uid": "1"}
OTHER = {"namespace": "tenant-b", "name": "db", "uid": "2"}
IMAGE = {"url": "https://me:secret@images.example/os.qcow2?sig=secret"}


def host(
    state: str = "available", *, claim: dict[str, str] | None = None, image: dict[str, str] | None = None, **status: Any
) -> dict[str, Any]:
    """Return a Host whose report has this provisioning state."""
    provisioning = {"state": state, **({"image": image} if image else {})}
    report = {"status": {"provisioning": provisioning, "errorMessage": status.pop("error", "")}}
    spec = {"className": "metal", "source": {"name": "node-0", "uid": "u"}, **({"claimRef": claim} if claim else {})}
    return {"metadata": {"name": "uuid"}, "spec": spec, "status": {"available": claim is None, "report": report, **status}}


IDLE = host()
HELD = host(claim=CLAIM)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (IDLE, HELD, [("Normal", "Bound", "node-0 is bound to Workload tenant-a/web")]),
        (HELD, host("provisioning", claim=CLAIM), [("Normal", "Provisioning", "node-0 is being installed for Workload tenant-a/web")]),
        (
            host("provisioning", claim=CLAIM),
            host("provisioned", claim=CLAIM, image=IMAGE),
            [("Normal", "Provisioned", "node-0 runs what Workload tenant-a/web asked for: https://images.example/os.qcow2")],
        ),
        (
            host("provisioned", claim=CLAIM),
            host("deprovisioning", claim=CLAIM),
            [("Normal", "Deprovisioning", "what node-0 ran for Workload tenant-a/web is being removed, and wiped as the class says")],
        ),
        (HELD, host(available=False), [("Normal", "Released", "Workload tenant-a/web has left node-0")]),
        (host(available=False), IDLE, [("Normal", "Cleaned", "node-0 holds no tenant's data and can be claimed")]),
        (
            host(available=False),
            host(dirtyFor="tenant-a"),
            [("Warning", "NotCleaned", "the disks of node-0 hold data of the namespace tenant-a")],
        ),
        (
            host(available=False),
            host(available=False, reason="Quarantined", message="look at it"),
            [("Warning", "Quarantined", "look at it")],
        ),
        (
            host("provisioning", claim=CLAIM),
            host("provisioning", claim=CLAIM, error="it failed"),
            [("Warning", "Failed", "node-0 reports: it failed")],
        ),
    ],
)
def test_each_step_is_reported(old: dict[str, Any], new: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert list(host_events(old, new)) == expected
    assert list(host_events(new, new)) == []


def test_a_host_that_changes_hands_unseen_is_reported_twice() -> None:
    assert [item.reason for item in host_events(HELD, host(claim=OTHER))] == ["Released", "Bound"]


def test_a_new_host_was_not_cleaned() -> None:
    new: dict[str, Any] = {"metadata": {}, "spec": IDLE["spec"]}
    assert list(host_events(new, IDLE)) == []


def test_events_tell_the_owner_of_cordons_and_other_withdrawals() -> None:
    cordoned = {**HELD, "spec": {**HELD["spec"], "unschedulable": True}}
    assert [item.reason for item in host_events(HELD, cordoned)] == ["Cordoned"]
    assert [item.reason for item in host_events(cordoned, HELD)] == ["Uncordoned"]
    left = host()
    left["spec"]["unschedulable"] = True
    [cleaned] = [item for item in host_events({**left, "status": host(available=False)["status"]}, left)]
    assert cleaned.message == "node-0 holds no tenant's data and can be claimed when it is uncordoned"
