"""Check a claim through the view whose consumer is gone: the tenant and the owner read it, and the
claim stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controllers.consumer.controller import Waits, consumer_resource
from controllers.kinds import CLAIMED_THROUGH
from tests.unit.controllers.clusters import BMH, HOSTS, WORKLOADS, TwoClusters, bmh, controllers, two_clusters, workload
from tests.unit.controllers.fakeapi import Failure, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MACHINES = "apis/infrastructure.cluster.x-k8s.io/v1beta1/metal3machines"
MACHINE = {"apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "kind": "Metal3Machine", "namespace": "team-a", "name": "m0"}
RELAYED = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "namespace": "team-a", "name": "m0"}
SOON = Waits(0.05, 0.05, 0.05)


def claimed(reference: dict[str, Any] | None = None) -> dict[str, Any]:
    made = workload("m0", consumerRef=reference or MACHINE)
    made["metadata"]["labels"] = {CLAIMED_THROUGH: "baremetalhost"}
    return made


@pytest.fixture
async def clusters() -> AsyncIterator[TwoClusters]:
    async with two_clusters() as made:
        made.hardware.put(BMH, bmh("h1"))
        yield made


def consumer_message(clusters: TwoClusters) -> str:
    return str(clusters.condition("m0", "ConsumerFound")["reason"])


async def test_a_consumer_that_vanishes_is_named_and_nothing_is_released(clusters: TwoClusters) -> None:
    async with controllers(clusters, consumer_waits=SOON):
        clusters.management.put(MACHINES, {"metadata": {"name": "m0", "namespace": "team-a"}})
        clusters.management.put(WORKLOADS, claimed())
        await eventually(lambda: consumer_message(clusters) == "Found" and clusters.phase("m0") == "Running")
        clusters.management.remove(MACHINES, "m0", "team-a")
        await eventually(lambda: consumer_message(clusters) == "ConsumerGone")
        message = clusters.condition("m0", "ConsumerFound")["message"]
        assert "Metal3Machine team-a/m0" in message
        assert "`kubectl delete baremetalhosts.metal3.io h1 -n team-a`" in message, "where BMO's own are served, too, the group tells"
        host = clusters.host_object("h1")
        await eventually(lambda: clusters.management.get(HOSTS, host)["status"].get("reason") == "ConsumerGone")
        assert clusters.host("h1")["spec"]["consumerRef"]["name"] == "m0", "it may have moved, and its host with it"
        await eventually(lambda: clusters.reasons().count("ConsumerGone") == 1)
        clusters.management.put(MACHINES, {"metadata": {"name": "m0", "namespace": "team-a"}})
        await eventually(lambda: consumer_message(clusters) == "Found")
        await eventually(lambda: clusters.management.get(HOSTS, host)["status"].get("reason") == "Claimed")


async def test_a_consumer_in_another_cluster_is_not_missed(clusters: TwoClusters) -> None:
    """Move the claim away, so that it names the Workload that has the host in the other cluster."""
    async with controllers(clusters, consumer_waits=SOON):
        clusters.management.put(WORKLOADS, claimed())
        await eventually(lambda: consumer_message(clusters) == "ConsumerGone")
        clusters.management.edit(WORKLOADS, "m0", {"spec": {"consumerRef": RELAYED}}, "team-a")
        await eventually(lambda: consumer_message(clusters) == "")
        await eventually(lambda: clusters.phase("m0") == "Running")


async def test_a_consumer_that_may_not_be_read_is_not_reported_as_gone(clusters: TwoClusters) -> None:
    asked = []

    def refuse(verb: str, path: str) -> Failure | None:
        if MACHINES not in path.lstrip("/") and "metal3machines" not in path:
            return None
        asked.append(path)
        return Failure(403, "Forbidden", "no")

    clusters.management.fail = refuse
    async with controllers(clusters, consumer_waits=SOON):
        clusters.management.put(WORKLOADS, claimed())
        await eventually(lambda: len(asked) > 1 and clusters.phase("m0") == "Running")
        assert consumer_message(clusters) == ""


def test_where_consumers_are_looked_for() -> None:
    found = consumer_resource(claimed())
    assert found is not None
    assert found.path("team-a", "m0") == f"/{MACHINES.replace('/metal3machines', '')}/namespaces/team-a/metal3machines/m0"
    assert consumer_resource(claimed(RELAYED)) is None
    assert consumer_resource(workload("m0", consumerRef=MACHINE)) is None, "a Workload that its tenant made itself"
    assert consumer_resource(claimed({"kind": "Pod", "name": "x"})) is None
    assert consumer_resource(claimed({**MACHINE, "namespace": "team-b"})) is None, "a tenant would hear what others have"
    assert consumer_resource(claimed({key: value for key, value in MACHINE.items() if key != "namespace"})) == found


@pytest.mark.parametrize(
    "wrong", [{"apiVersion": "x/../../api/v1"}, {"apiVersion": "x/v1/y"}, {"kind": "Secret/x"}, {"kind": "../secret"}, {"kind": "a b"}]
)
def test_nothing_is_looked_for_where_no_kind_can_be(wrong: dict[str, str]) -> None:
    assert consumer_resource(claimed({**MACHINE, **wrong})) is None
