"""Check that a Workload that lost a race gets another host, but only if its tenant did not name the
host and nothing was written to it. This holds whenever the controllers die."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.names import ADOPTS
from controllers.kinds import CLAIMED_THROUGH
from controllers.providers.base import Outcome
from controllers.workload.reschedule import is_reschedulable, is_rescheduling, lost_claim, rescheduling_status
from controllers.workload.status import bound_status
from tests.unit.controllers.claiming import bind
from tests.unit.controllers.clusters import BMH, HOSTS, WORKLOADS, TwoClusters, bmh, controllers, two_clusters, workload
from tests.unit.controllers.fakeapi import Address, FakeApi, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import web

STATES = ("Assumed", "Confirmed", "Rescheduling")
THIEF = {"kind": "Metal3Machine", "apiVersion": "infrastructure.cluster.x-k8s.io/v1beta1", "namespace": "elsewhere", "name": "faster"}


class Late(TwoClusters):
    """Give the first chosen host to another consumer at the moment of the choice."""

    taken = ""

    async def bind(self, api: FakeApi, request: web.Request, address: Address, body: dict[str, Any]) -> dict[str, Any]:
        answer = await bind(api, request, address, body)
        if not self.taken:
            self.taken = api.get(HOSTS, body["target"]["name"])["spec"]["source"]["name"]
            self.hardware.edit(BMH, self.taken, {"spec": {"consumerRef": THIEF}}, "metal3")
        return answer


@pytest.fixture
async def clusters() -> AsyncIterator[Late]:
    async with two_clusters() as made:
        late = Late(made.management, made.hardware, made.bmo)
        late.management.hooks["POST workloads/binding"] = late.bind
        for name in ("h1", "h2", "h3"):
            late.hardware.put(BMH, bmh(name))
        yield late


async def test_a_workload_whose_host_was_taken_gets_another_one(clusters: Late) -> None:
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
        assert clusters.claimed("web") != clusters.taken
        real = clusters.host(clusters.taken)
        assert real["spec"]["consumerRef"] == THIEF
        assert "image" not in real["spec"]
        assert "workload.metal3.io/workload-uid" not in (real["metadata"].get("labels") or {})
        await eventually(lambda: "HostTaken" in clusters.reasons())

        def status() -> dict[str, Any]:
            found: dict[str, Any] = clusters.management.get(HOSTS, clusters.host_object(clusters.taken))["status"]
            return found

        await eventually(lambda: (status()["available"], status()["reason"]) == (False, "InUse"))


@pytest.mark.parametrize("moment", range(2, 26, 3))
async def test_whenever_the_controllers_die(clusters: Late, moment: int) -> None:
    def count() -> int:
        return clusters.management.requests.total() + clusters.hardware.requests.total()

    async with controllers(clusters):
        await eventually(lambda: sum(bool(host["spec"].get("offers")) for host in clusters.management.all(HOSTS)) == 3)
        begin = count()
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: count() - begin >= moment or clusters.phase("web") == "Running")
    async with controllers(clusters):
        await eventually(lambda: clusters.phase("web") == "Running")
        assert clusters.claimed("web") != clusters.taken
        assert len(clusters.bmo.log) == 1, "it was installed once"


async def test_a_workload_that_named_its_host_says_the_way_out(clusters: Late) -> None:
    async with controllers(clusters):
        await eventually(lambda: len(clusters.management.all(HOSTS)) == 3)
        for name in ("h1", "h2", "h3"):
            host = clusters.host_object(name)
            view = {"metadata": {"name": name, "namespace": "team-a"}, "status": {"provisioning": {"ID": host}}}
            clusters.management.put(BMH, view)
        clusters.management.put(WORKLOADS, workload("web", hostRef={"name": "h2"}))
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] == "HostTaken")
        assert clusters.claimed("web") == clusters.taken == "h2"
        assert "delete this Workload" in clusters.condition("web", "Bound")["message"]
        clusters.hardware.edit(BMH, "h2", {"spec": {"consumerRef": None}}, "metal3")
        await eventually(lambda: clusters.phase("web") == "Running")


async def test_a_claim_through_the_view_waits_for_a_host_that_cannot_be_had_now(clusters: Late) -> None:
    paused = "baremetalhost.metal3.io/paused"

    async def pausing(api: FakeApi, request: web.Request, address: Address, body: dict[str, Any]) -> dict[str, Any]:
        answer = await bind(api, request, address, body)
        clusters.taken = api.get(HOSTS, body["target"]["name"])["spec"]["source"]["name"]
        clusters.hardware.edit(BMH, clusters.taken, {"metadata": {"annotations": {paused: ""}}}, "metal3")
        return answer

    clusters.management.hooks["POST workloads/binding"] = pausing
    made = workload("web")
    made["metadata"]["labels"] = {CLAIMED_THROUGH: "baremetalhost"}
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, made)
        await eventually(lambda: clusters.condition("web", "Bound")["reason"] == "HostNotAvailable")
        assert clusters.condition("web", "Ready")["status"] == "False"
        clusters.hardware.edit(BMH, clusters.taken, {"metadata": {"annotations": {paused: None}}}, "metal3")
        await eventually(lambda: clusters.phase("web") == "Running")


def chosen(state: str = "Assumed", **changes: Any) -> dict[str, Any]:
    made = workload("web")
    made["status"] = {"host": {"name": "h1"}, "binding": {"state": state}}
    made["metadata"] |= {key: value for key, value in changes.items() if key in ("labels", "annotations")}
    made["spec"] |= {key: value for key, value in changes.items() if key == "hostRef"}
    return made


def test_a_confirmed_binding_stays() -> None:
    assert [is_reschedulable(chosen(state)) for state in STATES] == [True, False, False]


@pytest.mark.parametrize(
    "named",
    [
        {"hostRef": {"name": "h1"}},
        {"labels": {CLAIMED_THROUGH: "baremetalhost"}},
        {"annotations": {ADOPTS: "v1 Machine team-a/m"}},
    ],
)
def test_a_host_that_was_meant_stays(named: dict[str, Any]) -> None:
    assert is_reschedulable(chosen())
    assert not is_reschedulable(chosen(**named))


def test_a_claim_through_the_view_is_lost_until_the_host_was_taken() -> None:
    through = {CLAIMED_THROUGH: "baremetalhost"}
    assert lost_claim(chosen(labels=through))
    assert not lost_claim(chosen("Confirmed", labels=through)), "something may run there"
    assert not lost_claim(chosen(labels=through, annotations={ADOPTS: "v1 Machine team-a/m"}))
    assert not lost_claim(chosen())


def test_the_state_says_whether_a_workload_is_being_rescheduled() -> None:
    assert [is_rescheduling(chosen(state)) for state in STATES] == [False, False, True]
    assert not is_rescheduling(workload("web"))
    status = rescheduling_status(chosen(), Outcome(False, "HostTaken", "somebody else has it"))
    assert (status["phase"], status["binding"]) == ("Pending", {"state": "Rescheduling"})


async def test_the_state_follows_the_answers_of_the_source(clusters: Late) -> None:
    """Check that a refusal without a trace leaves the binding assumed, and success confirms it."""
    clusters.taken = "nothing is taken"
    async with controllers(clusters):
        clusters.management.put(WORKLOADS, workload("web"))
        await eventually(lambda: clusters.phase("web") == "Running")
    assert clusters.workload("web")["status"]["binding"] == {"state": "Confirmed"}


BOUND = Outcome(True, "Bound", "the host is this Workload's")
REFUSED = Outcome(False, "HostNotAvailable", "the host is paused")
SYNCHRONIZED = Outcome(True, "Synchronized", "all is written")


@pytest.mark.parametrize(
    ("state", "bound", "confirmed", "after"),
    [
        ("Assumed", BOUND, True, "Confirmed"),
        ("Assumed", REFUSED, False, None),
        ("Assumed", REFUSED, True, "Confirmed"),
        ("Confirmed", REFUSED, True, None),
        ("Rescheduling", BOUND, True, None),
    ],
)
def test_a_report_confirms_the_binding_once(state: str, bound: Outcome, confirmed: bool, after: str | None) -> None:
    status = bound_status(chosen(state), bound, SYNCHRONIZED, None, empty=False, now="2026-01-01T00:00:00Z", confirmed=confirmed)
    assert status.get("binding") == (None if after is None else {"state": after})
