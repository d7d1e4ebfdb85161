"""Check which hosts are given back after the store was lost, and how their Workloads are created
again."""

from __future__ import annotations

import re
from typing import Any

import pytest

from apiserver.apis.host import HeldClaim
from apiserver.apis.workload import Workload
from controllers.providers.baremetalhost import lost as plan
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.desired import is_recovered_by, recovers
from controllers.providers.baremetalhost.identity import Identity
from controllers.providers.baremetalhost.record import LARGEST, held_claim, read_record, record_of
from tests.unit.controllers.clusters import workload

HERE = Identity("here")
NAMESPACES = {"team-a": {"metadata": {"name": "team-a", "uid": "ns-a"}}}
HOST: dict[str, Any] = {"metadata": {"name": "h"}, "spec": {"className": "metal"}}
IMAGE = {"url": "https://images.example/os.qcow2", "checksum": "0" * 64, "checksumType": "sha256"}


def lost(**annotations: str) -> dict[str, Any]:
    """Return a real host that a lost Workload has."""
    reference = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "namespace": "team-a", "name": "w"}
    return {
        "metadata": {
            "name": "r",
            "namespace": "metal3",
            "uid": "real",
            "resourceVersion": "5",
            "labels": {names.WORKLOAD_UID: "old"},
            "annotations": {names.MANAGEMENT: "here", **annotations},
        },
        "spec": {"consumerRef": reference, "image": IMAGE, "online": True},
    }


def test_a_host_is_lost_when_the_store_does_not_know_its_workload() -> None:
    assert plan.is_lost(lost(), None, HERE)
    assert plan.is_lost(lost(), HOST, HERE)
    claim = {"namespace": "team-a", "name": "w", "uid": "old"}
    assert not plan.is_lost(lost(), {**HOST, "spec": {**HOST["spec"], "claimRef": claim}}, HERE)
    assert not plan.is_lost(lost(), HOST, Identity("elsewhere")), "another management cluster's"
    free = lost()
    del free["spec"]["consumerRef"]
    assert not plan.is_lost(free, HOST, HERE)


def test_the_record_brings_the_workload_back_as_it_was() -> None:
    wl = workload("w", userData={"name": "boot"}, image=IMAGE)
    wl["spec"]["className"] = "renamed"
    wl["metadata"]["labels"] = {"claimed": "no", "workload.metal3.io/claimed-through": "baremetalhost"}
    bmh = lost(**{names.RECORD: record_of(wl, "ns-a")})
    made = plan.successor(bmh, "metal")
    Workload.decode(made)
    assert made["spec"] == {**wl["spec"], "className": "metal"}
    assert (made["metadata"]["namespace"], made["metadata"]["name"]) == ("team-a", "w")
    assert made["metadata"]["labels"] == {"workload.metal3.io/claimed-through": "baremetalhost"}
    claim = held_claim(bmh)
    assert claim is not None
    assert HeldClaim.decode(claim).namespace_uid == "ns-a"


@pytest.mark.parametrize("value", ["", "no JSON", "[]", '{"spec": 1}'])
def test_without_a_record_the_hosts_spec_shows_what_runs(value: str) -> None:
    bmh = lost(**({names.RECORD: value} if value else {}))
    assert read_record(bmh).spec == {"image": IMAGE, "online": True}
    Workload.decode(plan.successor(bmh, "metal"))


def test_of_a_workload_that_is_too_large_its_namespace_is_recorded() -> None:
    record = record_of(workload("w", image={**IMAGE, "url": "https://images.example/" + "x" * LARGEST}), "ns-a")
    bmh = lost(**{names.RECORD: record})
    assert len(record) < 100
    assert (read_record(bmh).namespace_uid, read_record(bmh).spec) == ("ns-a", {"image": IMAGE, "online": True})


def test_a_successor_deploys_what_is_on_the_host() -> None:
    other = workload("w", image={"url": "https://evil.example/os"}, hostSelector={"matchLabels": {"rack": "r1"}})
    spec = plan.successor(lost(**{names.RECORD: record_of(other, "ns-a")}), "metal")["spec"]
    assert (spec["image"], spec["hostSelector"]) == (IMAGE, {"matchLabels": {"rack": "r1"}})
    other["spec"] = {"className": "metal", "customDeploy": {"method": "install_coreos"}}
    spec = plan.successor(lost(**{names.RECORD: record_of(other, "ns-a")}), "metal")["spec"]
    assert spec == {"className": "metal", "image": IMAGE}
    empty = lost(**{names.RECORD: record_of(other, "ns-a")})
    del empty["spec"]["image"]
    assert "customDeploy" in plan.successor(empty, "metal")["spec"], "it was not installed yet"


def class_(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "metal"}, "spec": spec}


@pytest.mark.parametrize(
    ("rules", "recorded", "word"),
    [
        ({"hostSelector": {"matchLabels": {"rack": "r1"}}}, {}, "does not select it"),
        ({"allowedNamespaces": {"names": ["team-b"]}}, {}, "does not allow the namespace team-a"),
        ({"images": {"allow": ["https://other.example/"]}}, {}, "spec.image"),
        ({}, {"image": None, "customDeploy": {"method": "erase_devices"}}, "spec.customDeploy"),
        ({}, {"reclaimPolicy": "Retain"}, "spec.reclaimPolicy"),
        ({}, {"online": {"no": "boolean"}}, "no Workload"),
        ({}, {"className": ["a"], "hostSelector": "none"}, "no Workload"),
    ],
)
def test_a_record_gives_no_tenant_what_the_class_does_not_allow(rules: Any, recorded: Any, word: str) -> None:
    bmh = lost(**{names.RECORD: record_of(workload("w", **{"image": IMAGE, **recorded}), "ns-a")})
    if "customDeploy" in recorded:
        del bmh["spec"]["image"]
    why = plan.forbidden(class_(**rules), bmh, plan.successor(bmh, "metal"), NAMESPACES)
    assert word in (why or "")
    assert re.search(r"run this again|--no-create", why or ""), "it says what to do"


def test_a_class_without_namespaces_yet_forbids_nothing() -> None:
    bmh = lost(**{names.RECORD: record_of(workload("w", image=IMAGE), "ns-a")})
    assert plan.forbidden(class_(), bmh, plan.successor(bmh, "metal"), NAMESPACES) is None


def test_the_owner_reads_what_a_recovery_would_create() -> None:
    forged = workload("w", image=IMAGE, userData={"name": "keys\x1b[2J\nteam-b/x: would get y back"}, className="gold")
    bmh = lost(**{names.RECORD: record_of(forged, "")})
    text = plan.described(plan.successor(bmh, "metal"), bmh)
    assert text.isprintable()
    for words in ("class metal", str(IMAGE["url"]), "secrets keys", "names the class gold", "uid is not recorded"):
        assert words in text


def test_a_consumer_that_cannot_exist_is_not_recovered() -> None:
    bmh = lost()
    del bmh["spec"]["consumerRef"]["namespace"]
    assert not plan.is_lost(bmh, None, HERE)
    assert held_claim(bmh) is None


@pytest.mark.parametrize(
    ("host", "found", "namespaces", "word"),
    [
        (None, None, NAMESPACES, "not reported"),
        ({**HOST, "spec": {"claimRef": {"namespace": "b", "name": "x", "uid": "u"}}}, None, NAMESPACES, "claimRef"),
        (HOST, None, {}, "was deleted"),
        (HOST, None, {"team-a": {"metadata": {"name": "team-a", "uid": "later"}}}, "was deleted"),
        (HOST, {"status": {"host": {"name": "other"}}}, NAMESPACES, "another host"),
    ],
)
def test_obstacles_to_a_recovery_are_reported(host: Any, found: Any, namespaces: Any, word: str) -> None:
    bmh = lost(**{names.RECORD: record_of(workload("w"), "ns-a")})
    assert word in (plan.obstacle(bmh, host, found, namespaces) or "")
    assert plan.obstacle(bmh, HOST, None, NAMESPACES) is None


def test_a_namespace_that_is_missing_may_be_created_where_its_uid_is_not_recorded() -> None:
    assert "create it and run this again" in (plan.obstacle(lost(), HOST, None, {}) or "")


def test_only_a_workload_of_the_name_takes_over_and_only_once() -> None:
    bmh = lost()
    mine, other = workload("w"), workload("x")
    assert not is_recovered_by(bmh, mine), "its owner has not said so"
    bmh["metadata"]["annotations"] |= plan.marking_patch(bmh)["metadata"]["annotations"]
    assert (is_recovered_by(bmh, mine), is_recovered_by(bmh, other), recovers(bmh)) == (True, False, "old")
    bmh["metadata"]["labels"][names.WORKLOAD_UID] = "new"
    assert not is_recovered_by(bmh, mine)
