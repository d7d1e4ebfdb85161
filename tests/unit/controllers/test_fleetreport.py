"""Check what the owner is shown of a fleet, and why a Workload waits."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.fleetreport import capacity, claims, gang_row, host_rows, named, troubled, why, why_set

CLAIM = {"namespace": "tenant-b", "name": "db", "uid": "2"}
FREE: dict[str, Any] = {"available": True}


def host(name: str, *, cpus: int = 16, class_: str = "metal", claim: dict[str, str] | None = None, **status: Any) -> dict[str, Any]:
    """Return a reported Host."""
    report = {"labels": {"rack": "r1"}, "spec": {}, "status": {"hardware": {"cpu": {"count": cpus}, "ramMebibytes": 65536}}}
    spec = {"className": class_, "source": {"name": name, "uid": name}, **({"claimRef": claim} if claim else {})}
    return {"metadata": {"name": f"uuid-{name}"}, "spec": spec, "status": {"report": report, **status}}


def workload(reason: str = "NoHostFits", **spec: Any) -> dict[str, Any]:
    """Return a Workload that waits."""
    conditions = [{"type": "Ready", "status": "False", "reason": reason, "message": "0/3 hosts are available"}]
    metadata = {"name": "web", "namespace": "tenant-a", "uid": "1"}
    return {"metadata": metadata, "spec": {"className": "metal", **spec}, "status": {"phase": "Pending", "conditions": conditions}}


def set_(reason: str, message: str = "", *, final: bool = False, replicas: int = 3, available: int = 0) -> dict[str, Any]:
    """Return a set that is not ready."""
    explained = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    conditions = [explained, {**explained, "type": "Stalled", "status": "True"}] if final else [explained]
    spec = {"replicas": replicas, "template": {"spec": {"className": "metal"}}}
    status = {"availableReplicas": available, "conditions": conditions}
    return {"metadata": {"name": "db", "namespace": "tenant-a", "uid": "set-uid"}, "spec": spec, "status": status}


def gang_member(number: int, *, bound: bool = False, gang: str = "ring") -> dict[str, Any]:
    """Return a member of the set and of a gang of three."""
    made = workload(gang={"name": gang, "minAvailable": 3})
    owner = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "WorkloadSet", "name": "db", "uid": "set-uid", "controller": True}
    made["metadata"] |= {"name": f"db-{number}", "uid": str(number), "ownerReferences": [owner]}
    if bound:
        ready = {"type": "Ready", "status": "True", "reason": "Ready", "message": "it runs"}
        made["status"] = {"phase": "Running", "host": {"name": f"host-{number}"}, "conditions": [ready]}
    return made


FLEET = [
    host("c", claim=CLAIM),
    host("a", **FREE),
    host("b", available=False, reason="Quarantined", message="look at it"),
    host("d", class_="other", **FREE),
    host("e", dirtyFor="tenant-b", dirtyForUID="uid-b", **FREE),
]


def test_the_counts_of_a_class_add_up() -> None:
    [metal, other] = capacity([{"metadata": {"name": "metal"}}], FLEET)
    assert metal == {
        "class": "metal",
        "total": 4,
        "free": 2,
        "claimed": 1,
        "unavailable": 1,
        "reserved": 0,
        "holders": {"tenant-b": 1},
        "reasons": {"Quarantined": 1},
        "source": "",
        "message": "",
    }
    assert other["class"] == "other"
    assert metal["total"] == metal["free"] + metal["claimed"] + metal["unavailable"]


def test_hosts_are_listed_by_class_and_name() -> None:
    rows = host_rows(FLEET)
    assert [(row["class"], row["host"], row["state"]) for row in rows][:3] == [
        ("metal", "a", "Available"),
        ("metal", "b", "Quarantined"),
        ("metal", "c", "Bound"),
    ]
    assert rows[2]["workload"] == "tenant-b/db"


def test_each_host_of_the_class_says_why_it_is_not_had() -> None:
    found = why(workload(requirements={"cpuCount": 16}), [*FLEET, host("s", cpus=2, **FREE)], "uid-a")
    assert (found["reason"], found["message"]) == ("NoHostFits", "0/3 hosts are available")
    explained = {row["host"]: (row["why"], row["to_free"]) for row in found["hosts"]}
    assert explained["s"][0] == "does not fit: it has less than 16 CPUs"
    assert explained["c"] == ("fits, but is claimed", "the tenant of tenant-b deletes the Workload db")
    assert explained["b"] == ("fits, but is quarantined", "look at it")
    assert explained["e"][1] == "clean it: its disks hold data of the namespace tenant-b"
    assert explained["a"][0] == "fits and is free"
    assert "d" not in explained


def test_a_reserved_host_names_its_reservation_and_what_ends_it() -> None:
    free = host("a", **FREE)
    free["spec"]["reservedFor"] = {"namespace": "tenant-b", "namespaceUID": "uid-b", "name": "launch", "uid": "3"}
    [other] = why(workload(), [free], "uid-a")["hosts"]
    assert other["why"] == "fits, but is reserved for another namespace"
    assert other["to_free"].startswith("the Reservation launch of tenant-b ends")
    assert why(workload(), [free], "uid-b")["hosts"][0]["why"] == "fits and is free"
    assert why(workload(requirements={"cpuCount": 64}), [free], "uid-a")["hosts"][0]["why"].startswith("does not fit")
    assert host_rows([free])[0]["reserved"] == "tenant-b/launch"
    assert capacity([], [free])[0]["reserved"] == 1


def test_a_host_that_the_placement_rules_out_is_not_said_to_be_bound_in_a_moment() -> None:
    free = host("a", **FREE)
    [elsewhere] = why(workload(placement={"failureDomains": {"required": ["east"]}}), [free], "uid-a")["hosts"]
    assert elsewhere["why"] == "does not fit: it is in another failure domain"
    term = {"topologyKey": "rack", "labelSelector": {}}
    for spec in ({"placement": {"antiAffinity": {"required": [term]}}}, {"gang": {"name": "g", "minAvailable": 2}}):
        [row] = why(workload(**spec), [free], "uid-a")["hosts"]
        assert (row["why"], "placement and gang" in row["to_free"]) == ("fits and is free", True)


def test_a_free_host_for_which_a_quota_has_no_room() -> None:
    free = host("h", **FREE)
    [row] = why(workload("QuotaExceeded"), [free], "uid-a")["hosts"]
    assert row["to_free"] == "a quota has no room: ask for a larger one, or require a smaller machine (see the Workload's message)"
    [other] = why(workload(), [free], "uid-a")["hosts"]
    assert other["to_free"] == "it is bound in a moment"


def test_a_workload_with_a_host_is_shown_with_it() -> None:
    bound = workload()
    bound["status"]["host"] = {"name": "c"}
    found = why(bound, [host("c", claim={**CLAIM, "uid": "1"}), host("a", **FREE)], "uid-a")
    assert [row["host"] for row in found["hosts"]] == ["c"]


def test_a_host_that_was_never_reported_is_explained() -> None:
    unknown = host("n")
    del unknown["status"]
    assert why(workload(), [unknown], "")["hosts"][0]["why"] == "is not reported by its source yet"


def test_claims_are_the_latest_first_with_the_present_one() -> None:
    past = {"uid": "1", "name": "old", "namespace": "tenant-a", "releasedAt": "t"}
    assert claims(host("c", history=[past])) == [past]
    assert claims(host("c", claim=CLAIM, history=[past])) == [CLAIM, past]
    present = {**CLAIM, "boundAt": "t"}
    assert claims(host("c", claim=CLAIM, history=[past, present])) == [present, past]


def test_a_host_is_found_by_either_name() -> None:
    assert [one["spec"]["source"]["name"] for name in ("a", "uuid-b") for one in named(FLEET, name)] == ["a", "b"]


def cordoned(host: dict[str, Any]) -> dict[str, Any]:
    return {**host, "spec": {**host["spec"], "unschedulable": True}}


def test_a_cordoned_host_is_no_capacity_and_says_how_it_is_offered_again() -> None:
    fleet = [cordoned(host("a", **FREE)), cordoned(host("c", claim=CLAIM)), host("d", **FREE)]
    [metal] = capacity([], fleet)
    assert (metal["total"], metal["free"], metal["claimed"], metal["reasons"]) == (3, 1, 1, {"SchedulingDisabled": 1})
    assert [row["state"] for row in host_rows(fleet)] == ["SchedulingDisabled", "Bound,SchedulingDisabled", "Available"]
    assert host_rows(fleet)[0]["message"] == "it is cordoned: metal3-workloads uncordon a"
    explained = {row["host"]: (row["why"], row["to_free"]) for row in why(workload(), fleet, "uid-a")["hosts"]}
    assert explained["a"] == ("fits, but is unschedulable", "it is cordoned: metal3-workloads uncordon a")
    both = "metal3-workloads uncordon c, and the tenant of tenant-b deletes the Workload db"
    assert explained["c"][1] == both, "its release alone would not free it"


def test_the_state_of_a_source_and_a_machines_error_are_reported() -> None:
    explained = {"type": "Connected", "status": "False", "reason": "Unreachable", "message": "no route"}
    [metal] = capacity([{"metadata": {"name": "metal"}, "status": {"conditions": [explained]}}], [])
    assert (metal["source"], metal["message"], metal["total"]) == ("Unreachable", "no route", 0)
    [row] = host_rows([host("a", available=False, reason="HostError", message="see status.errorMessage", errorMessage="no disk")])
    assert row["message"] == "no disk"


def test_workloads_in_trouble_are_listed_and_ordinary_steps_are_not() -> None:
    def ready(name: str, reason: str, status: str = "False") -> dict[str, Any]:
        conditions = [{"type": "Ready", "status": status, "reason": reason, "message": "m"}]
        return {"metadata": {"name": name, "namespace": "a", "uid": name}, "spec": {}, "status": {"conditions": conditions}}

    silent = {"metadata": {"name": "silent", "namespace": "a", "uid": "s"}, "spec": {}}
    leaving = ready("leaving", "NoHostFits")
    leaving["metadata"]["deletionTimestamp"] = "t"
    steps = [ready("runs", "Running", "True"), ready("begins", "Provisioning"), ready("off", "PoweredOff"), leaving]
    rows = troubled([ready("waits", "HostNotFound"), silent, *steps])
    assert [(row["workload"], row["reason"]) for row in rows] == [("a/silent", "NotReported"), ("a/waits", "HostNotFound")]


def test_a_gang_is_counted_within_the_workloads_of_its_namespace() -> None:
    others = [gang_member(0, bound=True), gang_member(1), gang_member(2, gang="other"), workload()]
    assert gang_row(others[1], others) == {"name": "ring", "members": 2, "hosts": 1, "needed": 3}
    assert gang_row(workload(), others) is None


def test_a_set_is_explained_by_its_members_those_that_wait_first() -> None:
    members = [gang_member(number, bound=number < 9) for number in range(11)]
    found = why_set(set_("MemberNotReady", "db-9: NoHostFits: none", replicas=11, available=9), [*members, workload()])
    assert [row["workload"] for row in found["members"]] == ["db-9", "db-10", *(f"db-{number}" for number in range(9))]
    assert (found["workloadset"], found["state"], found["available"], found["replicas"]) == ("tenant-a/db", "progressing", 9, 11)
    assert (found["reason"], found["message"]) == ("MemberNotReady", "db-9: NoHostFits: none")
    assert found["members"][0]["message"] == "0/3 hosts are available"
    assert found["members"][2] | {"host": "host-0", "message": ""} == found["members"][2], "what runs needs no words"


def test_a_set_that_nothing_was_reported_of_waits_for_the_controllers() -> None:
    assert "controllers may be away" in why_set({**set_(""), "status": {}}, [])["message"]


@pytest.mark.parametrize(
    ("of", "phase"),
    [
        (set_("CreationRefused", "exceeded quota: hosts"), "quota"),
        (set_("CreationRefused", "a webhook denied it"), "refused"),
        (set_("NameTaken", final=True), "stalled"),
        (set_("UpdateRefused", final=True), "stalled"),
        (set_("MemberNotReady", final=True), ""),
        (set_("Updating", final=True), ""),
        (set_("LeaseEnded", final=True), ""),
        (set_("Scaling"), ""),
    ],
)
def test_a_set_is_in_trouble_if_no_member_says_so(of: dict[str, Any], phase: str) -> None:
    found = troubled([], [of])
    assert [(row["workload"], row["phase"]) for row in found] == ([("tenant-a/workloadset/db", phase)] if phase else [])
