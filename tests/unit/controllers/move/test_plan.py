"""Check which objects a move creates in the target, and with which content."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.apis.names import ADOPTS
from apiserver.apis.workload import Workload
from apiserver.registry.generic.patch import merge_patch
from controllers.move import plan
from tests.unit.controllers.clusters import secret, workload

CAPI = {"apiVersion": "cluster.x-k8s.io/v1beta2", "kind": "Machine", "name": "m", "uid": "u"}
SET = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "WorkloadSet", "name": "db", "uid": "u", "controller": True}
SELF = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "namespace": "team-a", "name": "w"}


def made(**metadata: Any) -> dict[str, Any]:
    wl = workload("w", userData={"name": "boot"}, hostRef={"name": "mine"})
    wl["metadata"] |= {"uid": "old", "resourceVersion": "7", **metadata}
    return wl


@pytest.mark.parametrize(
    ("metadata", "spec", "word"),
    [
        ({"deletionTimestamp": "x"}, {}, "deleted"),
        ({"labels": {"workload.metal3.io/claimed-through": "baremetalhost"}}, {}, "consumer"),
        ({"ownerReferences": [CAPI]}, {}, "Machine m"),
        ({"ownerReferences": [SET]}, {}, "--cascade=orphan"),
        ({}, {"consumerRef": {**CAPI, "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1"}}, "Machine m"),
    ],
)
def test_workloads_that_cannot_move_have_a_reason(metadata: dict[str, Any], spec: dict[str, Any], word: str) -> None:
    wl = made(**metadata)
    wl["spec"] |= spec
    assert word in (plan.reason_to_stay(wl) or "")


@pytest.mark.parametrize(
    "consumer", [None, SELF, {"apiVersion": "v1", "kind": "Pod", "name": "p"}, {"apiVersion": "mycluster.x-k8s.io/v1"}]
)
def test_the_rest_moves(consumer: dict[str, Any] | None) -> None:
    wl = made()
    wl["spec"]["consumerRef"] = consumer
    assert plan.reason_to_stay(wl) is None


def test_a_successor_is_valid_and_continues_with_the_host() -> None:
    wl = made(labels={"a": "b"}, annotations={"mine": "x", plan.MOVED_TO: "y", ADOPTS: "older"})
    wl["spec"]["image"]["checksumType"] = "sha256"
    new = plan.successor(wl, class_name="relay", host="h1", adopts="someone")
    Workload.decode(new)
    assert new["metadata"]["annotations"] == {plan.MOVED_FROM: "old", "mine": "x", ADOPTS: "someone"}
    assert new["metadata"]["labels"] == {"a": "b"}
    assert (new["spec"]["className"], new["spec"]["hostRef"]) == ("relay", {"name": "h1"})
    assert new["spec"]["image"] == wl["spec"]["image"]


def test_the_rest_of_a_lease_goes_with_the_machine() -> None:
    wl = made()
    assert plan.lease_left(wl, 0.0) is None
    wl["status"] = {"lease": {"startTime": "2026-01-01T00:00:00Z", "expirationTimestamp": "2026-01-02T00:00:00Z"}}
    start = 1767225600.0
    assert (plan.lease_left(wl, start + 0.5), plan.lease_left(wl, start + 10**6)) == (86400, 1)
    assert plan.successor(wl, class_name="relay", host="h1", adopts="x", lease=60)["spec"]["lease"] == {"durationSeconds": 60}
    assert plan.renewed_lease({"lease": {"durationSeconds": 60}}, 60) == {"durationSeconds": 61}, "only a change begins a lease"
    assert plan.renewed_lease({"lease": {"durationSeconds": 60}}, 50) == plan.renewed_lease({}, 50) == {"durationSeconds": 50}


def test_one_without_a_host_is_held_and_then_as_it_was() -> None:
    held = plan.successor(made(), class_name=None, host=None, adopts=None)
    held["metadata"]["uid"] = "new"
    assert held["spec"]["hostRef"] == {"name": plan.PIN}
    free = merge_patch(held, plan.unpinned_patch(held))
    assert free["spec"]["hostRef"] == {"name": "mine"}
    assert plan.HELD not in free["metadata"]["annotations"]


def test_what_is_given_back_is_what_the_successor_wanted() -> None:
    consumer = {**SELF, "uid": "new"}
    spec = {"consumerRef": consumer, "online": True, "image": {"url": "old", "format": "raw"}, "userData": {"name": "copy"}, "bmc": {}}
    view = {
        "metadata": {"name": "h1", "namespace": "team-a", "uid": "v", "resourceVersion": "3"},
        "spec": {**spec, "metaData": {"name": "c"}},
    }
    new = plan.successor(made(), class_name="relay", host="h1", adopts="workload.metal3.io/v1alpha1 Workload team-a/w")
    after = merge_patch(view, plan.giving_back_patch(view, new))["spec"]
    assert after["consumerRef"] == SELF, "without the uid it is not the relay's"
    assert after["userData"] == {"name": "boot", "namespace": "team-a"}
    assert after["image"] == {"url": "http://images.example/os.qcow2", "checksum": "abc"}, "all of it"
    assert "metaData" not in after


def test_the_patch_removes_the_consumer_and_annotations_of_a_move() -> None:
    wl = made(annotations={plan.MOVED_TO: "x"})
    wl["spec"]["consumerRef"] = SELF
    patch = plan.reset_consumer_patch(wl)
    assert patch is not None
    after = merge_patch(wl, patch)
    assert plan.reset_consumer_patch(after) is None
    assert "consumerRef" not in after["spec"]


def test_secrets_that_no_workload_names_are_deleted() -> None:
    assert plan.unused(["boot", "other"], [made()]) == ["other"]
    one, other = secret("s", "a", x="1"), secret("s", "b", x="2")
    assert plan.same_data(one, one)
    assert not plan.same_data(one, other)
    assert plan.secret_copy({**one, "type": "T", "immutable": True})["type"] == "T"
