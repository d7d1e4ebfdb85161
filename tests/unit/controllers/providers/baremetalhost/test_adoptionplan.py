"""Check what keeps a host from being adopted, and the writes of an adoption."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.registry.generic.patch import merge_patch
from controllers.providers.baremetalhost import names
from controllers.providers.baremetalhost.adoptionplan import (
    handing_back_patch,
    marking_patch,
    name_conflict,
    obstacle,
    undo_obstacle,
    workload_of,
)
from controllers.providers.baremetalhost.adoptionrecord import CAPM3, Adoption
from tests.unit.controllers.clusters import bmh, workload_class

IMAGE = {"url": "https://images.example.com/os", "checksum": "0" * 32}
MACHINE = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta2", "kind": "Metal3Machine", "namespace": "metal3", "name": "m"}
GIVEN = Adoption("here", "team-a", "uid", "web")
MOVED = Adoption("here", "metal3", "uid", consumer=MACHINE)
HOST: dict[str, Any] = {"metadata": {"name": "x"}, "spec": {"className": "metal"}}
CLASS = {**workload_class(), "metadata": {"name": "metal"}}


def running(status: dict[str, Any] | None = None, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a host that runs something, with these differences. A value of None removes a
    field."""
    made = bmh("h1", **{"online": True, "image": dict(IMAGE), **spec})
    made["spec"] = {key: value for key, value in made["spec"].items() if value is not None}
    made["metadata"] |= {"uid": "u", "resourceVersion": "7"}
    made["metadata"]["annotations"] |= annotations or {}
    made["status"]["provisioning"] = {"state": "provisioned", "image": IMAGE}
    made["status"] |= status or {}
    return made


def test_a_host_that_runs_can_be_adopted() -> None:
    assert obstacle(running(), HOST, GIVEN, CLASS) is None
    paused = running(annotations={names.PAUSED: CAPM3}, consumerRef=MACHINE)
    assert obstacle(paused, HOST, MOVED, CLASS) is None


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (running({"errorType": "servicing error"}), "servicing error"),
        (running({"operationalStatus": "error"}), "reports a problem"),
        (running({"provisioning": {"state": "provisioning"}}), "its state is provisioning"),
        (running({"provisioning": {"state": "available"}}, image=None), "it is free"),
        (running(externallyProvisioned=True), "externally provisioned"),
        (running(annotations={names.PAUSED: ""}), "paused"),
        (running(annotations={names.PAUSED: CAPM3}), "paused"),
        (running(annotations={names.DETACHED: ""}), "detached"),
        (running(image={"url": IMAGE["url"]}), "checksum"),
        (running(image={**IMAGE, "url": "ftp://images.example.com/os"}), "does not allow what runs"),
        (running(image=None, customDeploy={"method": "mine"}), "does not allow what runs"),
    ],
)
def test_other_hosts_cannot(host: dict[str, Any], words: str) -> None:
    assert words in (obstacle(host, HOST, GIVEN, CLASS) or "")


def test_a_host_that_another_has_is_not_adopted() -> None:
    claimed = {**HOST, "spec": {**HOST["spec"], "claimRef": {"namespace": "b", "name": "w", "uid": "u"}}}
    assert "b/w has it" in (obstacle(running(), claimed, GIVEN, CLASS) or "")
    assert "not reported" in (obstacle(running(), None, GIVEN, CLASS) or "")
    assert "class other" in (obstacle(running(), {**HOST, "spec": {"className": "other"}}, GIVEN, CLASS) or "")
    marked = running(annotations={names.ADOPTION: Adoption("here", "team-b", "uid", "db").encode()})
    assert "--undo --namespace team-b" in (obstacle(marked, HOST, GIVEN, CLASS) or "")
    claim = {**MACHINE, "kind": "HostClaim"}
    assert "cannot move" in (obstacle(running(consumerRef=claim), HOST, Adoption("here", "metal3", "uid", consumer=claim), CLASS) or "")


def test_a_consumer_moves_to_the_namespace_of_its_name_once_it_is_paused() -> None:
    assert "not paused" in (obstacle(running(consumerRef=MACHINE), HOST, MOVED, CLASS) or "")
    elsewhere = Adoption("here", "team-a", "uid", consumer=MACHINE)
    paused = running(annotations={names.PAUSED: CAPM3}, consumerRef=MACHINE)
    assert "namespace of that name" in (obstacle(paused, HOST, elsewhere, CLASS) or "")


def test_name_conflicts_are_reported() -> None:
    described = workload_of(running(), GIVEN, CLASS, secrets=False)
    another = {"status": {"provisioning": {"ID": "y"}}}
    assert "another machine" in (name_conflict(described, None, another, HOST, MOVED) or "")
    assert name_conflict(described, None, {"status": {"provisioning": {"ID": "x"}}}, HOST, MOVED) is None


@pytest.mark.parametrize(
    ("spec", "status", "words"),
    [
        ({}, {}, ""),
        ({"online": True, "className": "metal"}, {}, ""),
        ({}, {"host": {"name": "z"}}, "another host"),
        ({"image": {**IMAGE, "url": "https://images.example.com/other"}}, {}, "spec.image"),
        ({"online": False}, {}, "spec.online"),
        ({"className": "other"}, {}, "spec.className"),
    ],
)
def test_a_workload_that_is_there_wants_what_runs_on_the_host(spec: dict[str, Any], status: dict[str, Any], words: str) -> None:
    present = {"metadata": {"name": "web"}, "spec": {"image": IMAGE, **spec}, "status": status}
    described = workload_of(running(), GIVEN, CLASS, secrets=False)
    assert words in (name_conflict(described, present, None, HOST, GIVEN) or "")
    assert bool(words) == bool(name_conflict(described, present, None, HOST, GIVEN))


def test_the_owners_secrets_are_named_only_if_they_are_copied() -> None:
    host = running(userData={"name": "boot", "namespace": "metal3"})
    assert "userData" not in workload_of(host, GIVEN, CLASS, secrets=False)["spec"]
    assert workload_of(host, GIVEN, CLASS, secrets=True)["spec"]["userData"] == {"name": "boot"}


def test_owners_that_leave_the_cluster_do_not_take_the_host_with_them() -> None:
    host = running()
    owner = {"apiVersion": MACHINE["apiVersion"], "kind": "Metal3Machine", "name": "m", "uid": "gone"}
    host["metadata"]["ownerReferences"] = [owner, {**owner, "apiVersion": "example.com/v1", "kind": "Rack"}]
    patch = marking_patch(host, MOVED)
    assert [one["kind"] for one in patch["metadata"]["ownerReferences"]] == ["Rack"]
    assert patch["metadata"]["resourceVersion"] == "7"
    assert "spec" not in patch


def test_the_way_back_restores_the_consumer_and_leaves_no_mark() -> None:
    before = running(annotations={names.PAUSED: CAPM3}, consumerRef=MACHINE)
    taken = running(annotations={names.ADOPTION: MOVED.encode(), names.MANAGEMENT: "here", names.RECORD: "{}"}, consumerRef=MACHINE)
    taken["spec"]["consumerRef"] = {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "namespace": "metal3",
        "name": "h1",
        "uid": "w",
    }
    taken["metadata"]["labels"][names.WORKLOAD_UID] = "w"
    after = merge_patch(taken, handing_back_patch(taken, MOVED))
    assert after["spec"] == before["spec"]
    assert names.WORKLOAD_UID not in after["metadata"]["labels"]
    assert [key for key in after["metadata"]["annotations"] if key.startswith(names.OURS)] == [names.HANDED_BACK]


def test_a_host_is_handed_back_only_by_the_workload_that_has_it() -> None:
    taken = running()
    taken["metadata"]["labels"][names.WORKLOAD_UID] = "w"
    claimed = {**HOST, "spec": {**HOST["spec"], "claimRef": {"namespace": "team-a", "name": "web", "uid": "w"}}}
    workload = {"metadata": {"name": "web", "namespace": "team-a", "uid": "w"}}
    assert undo_obstacle(taken, claimed, workload, GIVEN) is None
    assert "recover" in (undo_obstacle(taken, HOST, None, GIVEN) or "")
    leaving = {"metadata": {**workload["metadata"], "deletionTimestamp": "x"}}
    assert "being released" in (undo_obstacle(taken, claimed, leaving, GIVEN) or "")
    assert "not paused" in (undo_obstacle(taken, claimed, workload, MOVED) or "")
