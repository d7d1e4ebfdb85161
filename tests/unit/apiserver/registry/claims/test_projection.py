"""Check that projection and view update are inverse to each other, and that nothing of the owner's
comes through."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.apis.host import WORKLOAD_FIELDS
from apiserver.apis.metal3 import BareMetalHost
from apiserver.apis.names import CLAIMED_THROUGH, PAUSED, STATUS_ANNOTATION
from apiserver.registry.claims.conditions import complete
from apiserver.registry.claims.projection import project, projection_inputs
from apiserver.registry.claims.viewupdate import Refused, view_update

CANARY = "canary-of-the-owner"

HOST: dict[str, Any] = {
    "metadata": {"name": "h-id"},
    "spec": {"className": "metal", "source": {"namespace": CANARY, "name": CANARY, "uid": "real"}},
    "status": {
        "available": True,
        "message": CANARY,
        "errorMessage": CANARY,
        "report": {
            "name": "node-0",
            "labels": {"rack": "r1", "zone": "z1"},
            "annotations": {"note": "n"},
            "spec": {
                "online": False,
                "bootMACAddress": "00:11:22:33:44:55",
                "bmc": {"address": CANARY, "credentialsName": CANARY},
                "description": CANARY,
                "userData": {"name": CANARY, "namespace": CANARY},
                "consumerRef": {"name": CANARY},
                "preprovisioningNetworkDataName": CANARY,
                "image": {"url": CANARY},
            },
            "status": {
                "operationalStatus": "OK",
                "errorMessage": "",
                "poweredOn": True,
                "goodCredentials": {"credentials": {"name": CANARY}},
                "triedCredentials": {"credentials": {"name": CANARY}},
                "lastAttemptedImage": {"url": CANARY},
                "operationHistory": {"provision": {"start": "2026-01-01T00:00:00Z"}},
                "provisioning": {"state": "available", "ID": CANARY, "image": {"url": CANARY}, "customDeploy": {"method": CANARY}},
            },
        },
    },
}

names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
keys = st.one_of(names, names.map(lambda n: f"example.com/{n}"), st.sampled_from(["rack", "zone", "note", PAUSED, STATUS_ANNOTATION]))
texts = st.dictionaries(keys, names, max_size=4)
secrets = st.fixed_dictionaries({"name": names}, optional={"namespace": st.just("tenant-a")})
images = st.fixed_dictionaries({"url": names}, optional={"checksum": names, "format": st.sampled_from(["", "raw", "qcow2"])})
tenant_spec = st.fixed_dictionaries(
    {
        "consumerRef": st.fixed_dictionaries({"kind": names, "name": names, "namespace": st.just("tenant-a"), "apiVersion": names}),
        "online": st.booleans(),
    },
    optional={
        "image": images,
        "userData": secrets,
        "metaData": secrets,
        "networkData": secrets,
        "automatedCleaningMode": st.sampled_from(["metadata", "disabled"]),
    },
)


def workload(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "metadata": {"name": "w", "namespace": "tenant-a", "uid": "w-uid", "generation": 1},
        "spec": spec,
        "status": {"phase": "Bound"},
    }


def claimed(host: dict[str, Any], tenant: dict[str, Any]) -> dict[str, Any]:
    return {**host, "spec": {**host["spec"], "claimRef": {"namespace": "tenant-a", "name": "w", "uid": "w-uid"}, "view": tenant}}


def stored(view: dict[str, Any]) -> dict[str, Any]:
    """Return the view with what the server adds."""
    view["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    view["status"]["conditions"] = complete(view, None, "2026-01-02T00:00:00Z")
    return view


def write(view: dict[str, Any], spec: dict[str, Any], labels: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
    """Return the view as the tenant wants it to be."""
    new = copy.deepcopy(view)
    for field in WORKLOAD_FIELDS:
        new["spec"].pop(field, None)
    new["spec"] |= spec
    for field, value in (("labels", labels), ("annotations", annotations)):
        new["metadata"].pop(field, None)
        if value:
            new["metadata"][field] = value
    return new


def seen(view: dict[str, Any]) -> tuple[Any, ...]:
    meta = view["metadata"]
    return view["spec"], meta.get("labels", {}), {k: v for k, v in meta.get("annotations", {}).items() if k != STATUS_ANNOTATION}


@given(tenant_spec, texts, texts, texts, texts)
def test_what_a_tenant_writes_is_what_it_reads(
    spec: dict[str, Any], labels: dict[str, str], annotations: dict[str, str], more: dict[str, str], others: dict[str, str]
) -> None:
    free = project(HOST, None, "tenant-a", "node-0")
    first = write(free, spec, labels, annotations)
    update = view_update(free, first, HOST, claimed=False, releasing=False, has_version=False)
    assert update.action == "claim"
    made = workload({k: v for k, v in update.changes.items() if v is not None})
    host = claimed(HOST, update.tenant)
    view = project(host, made, "tenant-a", "node-0")
    if "automatedCleaningMode" in spec:
        assert seen(view) == seen(first)
    second = write(view, spec, more, others)
    again = view_update(view, second, host, claimed=True, releasing=False, has_version=True)
    assert again.action in ("change", "nothing")
    assert not again.changes or set(again.changes) == {"automatedCleaningMode"}
    if again.action == "change":
        assert seen(project(claimed(HOST, again.tenant), made, "tenant-a", "node-0"))[1:] == seen(second)[1:]


@given(st.booleans(), tenant_spec, st.sampled_from(["available", "provisioned", "deprovisioning"]))
def test_nothing_of_the_owners_appears(mine: bool, spec: dict[str, Any], state: str) -> None:
    host = copy.deepcopy(HOST)
    host["status"]["report"]["status"]["provisioning"]["state"] = state
    host = claimed(host, {"name": "node-0"}) if mine else host
    if mine:
        # What runs on the host is the claimant's own. All else in the report stays the owner's.
        host["status"]["report"]["status"]["provisioning"] |= {"image": spec.get("image", {"url": "x"}), "customDeploy": {"method": "m"}}
    view = project(host, workload(spec) if mine else None, "tenant-a", "node-0")
    assert CANARY not in json.dumps(view)
    BareMetalHost.decode(stored(view))


def test_the_last_tenants_image_is_not_shown_to_the_next() -> None:
    view = project(HOST, None, "tenant-b", "node-0")
    assert "image" not in view["status"]["provisioning"]
    assert "operationHistory" not in view["status"]


def test_projecting_twice_gives_the_same() -> None:
    assert project(HOST, None, "a", "n") == project(copy.deepcopy(HOST), None, "a", "n")


def test_the_status_annotation_goes_when_the_host_is_unpaused() -> None:
    free = project(HOST, None, "tenant-a", "node-0")
    spec = {"consumerRef": {"kind": "M", "name": "m"}, "online": True}
    paused = write(free, spec, {}, {PAUSED: "metal3.io/capm3", STATUS_ANNOTATION: "{}"})
    host = claimed(HOST, view_update(free, paused, HOST, claimed=False, releasing=False, has_version=False).tenant)
    assert host["spec"]["view"]["annotations"] == {PAUSED: "metal3.io/capm3", STATUS_ANNOTATION: "{}"}
    view = project(host, workload(spec), "tenant-a", "node-0")
    unpaused = write(view, spec, {}, {STATUS_ANNOTATION: "{}"})
    assert "annotations" not in view_update(view, unpaused, host, claimed=True, releasing=False, has_version=False).tenant


def test_image_and_custom_deploy_exclude_each_other() -> None:
    free = project(HOST, None, "tenant-a", "node-0")
    both = write(
        free, {"consumerRef": {"kind": "M", "name": "m"}, "online": True, "image": {"url": "u"}, "customDeploy": {"method": "m"}}, {}, {}
    )
    with pytest.raises(Refused, match="exclude each other"):
        view_update(free, both, HOST, claimed=False, releasing=False, has_version=False)


@pytest.mark.parametrize("value", ["", "{}", '{"mode": "hard", "force": false}', '{"mode": "soft"}'])
def test_reboots_as_bmo_takes_them(value: str) -> None:
    host = claimed(HOST, {"name": "node-0"})
    view = project(host, workload({"online": True}), "tenant-a", "node-0")
    wanted = write(view, {"online": True}, {}, {"reboot.metal3.io/x": value})
    found = view_update(view, wanted, host, claimed=True, releasing=False, has_version=False)
    assert found.tenant["annotations"]["reboot.metal3.io/x"] == value


@pytest.mark.parametrize("value", ["now", "[]", '{"mode": "gently"}', '{"mode": "hard", "force": "yes"}', "{"])
def test_reboots_that_bmo_would_not_take(value: str) -> None:
    host = claimed(HOST, {"name": "node-0"})
    view = project(host, workload({"online": True}), "tenant-a", "node-0")
    with pytest.raises(Refused, match="hard or soft"):
        view_update(
            view, write(view, {"online": True}, {}, {"reboot.metal3.io": value}), host, claimed=True, releasing=False, has_version=False
        )


def test_while_releasing_only_metadata_may_change() -> None:
    host = claimed(HOST, {"name": "node-0"})
    view = project(host, workload({"online": True}), "tenant-a", "node-0")
    with pytest.raises(Refused, match="being released"):
        view_update(view, write(view, {"online": False}, {}, {}), host, claimed=True, releasing=True, has_version=False)


a_few = st.sampled_from([{}, {"consumerRef": {"kind": "K", "name": "n"}}, {"image": {"url": "u"}}, {"online": True}])
workloads = st.builds(
    lambda spec, phase, labels, deleted, extra: {
        **workload(spec),
        "metadata": {
            **workload(spec)["metadata"],
            "labels": labels,
            **({"deletionTimestamp": "t"} if deleted else {}),
            "generation": extra,
        },
        "status": {"phase": phase, "addresses": [extra]},
    },
    a_few,
    st.sampled_from(["Pending", "Bound", "Provisioning", "Running", "Deprovisioning"]),
    st.sampled_from([{}, {CLAIMED_THROUGH: "baremetalhost"}, {"other": "label"}]),
    st.booleans(),
    st.integers(0, 3),
)


@given(workloads, workloads)
def test_workloads_of_which_the_same_is_taken_are_shown_alike(one: dict[str, Any], other: dict[str, Any]) -> None:
    host = claimed(HOST, {"name": "node-0"})
    alike = project(host, one, "tenant-a", "node-0") == project(host, other, "tenant-a", "node-0")
    assert alike or projection_inputs(one) != projection_inputs(other)


def test_most_of_a_workloads_status_is_not_shown() -> None:
    one = workload({"image": {"url": "u"}})
    other = {**one, "status": {"phase": "Running", "addresses": [{"address": "a"}], "conditions": []}}
    assert projection_inputs(one) == projection_inputs(other)
    empty = workload({})
    assert projection_inputs(empty) != projection_inputs({**empty, "status": {"phase": "Deprovisioning"}})


def host_with(state: str, image: dict[str, Any] | None = None) -> dict[str, Any]:
    made = copy.deepcopy(HOST)
    made["status"]["report"]["status"]["provisioning"] = {"state": state, "ID": "", **({"image": image} if image else {})}
    return made


def taken(spec: dict[str, Any], reason: str = "HostTaken", status: str = "False") -> dict[str, Any]:
    conditions = [{"type": "Bound", "status": status, "reason": reason}, {"type": "Ready", "status": "False", "reason": "HostTaken"}]
    return {**workload(spec), "status": {"phase": "Failed", "conditions": conditions}}


@pytest.mark.parametrize("state", ["available", "provisioning", "provisioned"])
def test_a_view_whose_host_another_consumer_has_taken_shows_an_error(state: str) -> None:
    image = {"url": "http://images.example/thiefs"}
    host = claimed(host_with(state, image), {"name": "node-0"})
    shown = project(host, taken({"image": {"url": "u"}}), "tenant-a", "node-0")["status"]
    assert (shown["operationalStatus"], shown["errorType"]) == ("error", "registration error")
    assert "another one" in shown["errorMessage"]
    assert shown["provisioning"]["state"] == "available", "what runs there is not what was asked for"
    assert "image" not in shown["provisioning"]
    assert projection_inputs(taken({})) != projection_inputs(workload({})), "the view follows the condition"


@pytest.mark.parametrize(("reason", "status"), [("HostNotAvailable", "False"), ("HostTaken", "True"), ("Bound", "True")])
def test_a_host_that_only_cannot_be_had_now_is_shown_as_it_is(reason: str, status: str) -> None:
    host = claimed(host_with("available"), {"name": "node-0"})
    shown = project(host, taken({"image": {"url": "u"}}, reason, status), "tenant-a", "node-0")["status"]
    assert shown["operationalStatus"] == "OK"
    assert not shown.get("errorMessage")


def test_a_taken_host_that_is_given_up_is_on_its_way_out() -> None:
    leaving = taken({"image": {"url": "u"}})
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    host = claimed(host_with("provisioned"), {"name": "node-0"})
    assert project(host, leaving, "tenant-a", "node-0")["status"]["provisioning"]["state"] == "deprovisioning"
