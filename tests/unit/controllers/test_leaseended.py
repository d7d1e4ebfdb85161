"""Check that a set whose members' leases have ended gives its machines back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apiserver.client.clock import timestamp
from controllers.cluster import connect
from controllers.leaseended import end_leases, leases_ended
from controllers.workloadset.status import set_status
from tests.unit.controllers.clusters import WORKLOADS
from tests.unit.controllers.fakeapi import FakeApi, eventually
from tests.unit.controllers.workloadset.sets import NOW, Object, member, set_
from tests.unit.controllers.workloadset.test_controller import SETS, controller, make, names, ready
from tests.unit.controllers.workloadset.test_plan import sorted_members

if TYPE_CHECKING:
    from apiserver.client.client import Client


def stored(api: FakeApi) -> Object:
    return api.get(SETS, "db", "a")


async def end(api: FakeApi, client: Client, name: str) -> None:
    """End the lease of a member: what the lease's controller does."""
    await end_leases(connect(client), api.get(WORKLOADS, name, "a"))
    api.remove(WORKLOADS, name, "a")


async def test_a_member_whose_lease_has_ended_is_not_created_again(api: FakeApi, client: Client) -> None:
    make(api, set_(3))
    async with controller(client):
        await eventually(lambda: (names(api), ready(api)[0]) == (["db-0", "db-1", "db-2"], "MemberNotReady"))
        await end(api, client, "db-1")
        await eventually(lambda: ready(api)[0] == "LeaseEnded")
        assert "the lease of db-1 has ended" in ready(api)[1]
        await end(api, client, "db-0")
        api.edit(WORKLOADS, "db-2", {"metadata": {"labels": {"x": "y"}}}, "a")
        await eventually(lambda: stored(api)["status"]["replicas"] == 1)
        assert names(api) == ["db-2"]
        assert any(one["type"] == "Stalled" for one in stored(api)["status"]["conditions"])


async def test_a_change_of_the_set_asks_for_machines_again(api: FakeApi, client: Client) -> None:
    made = make(api, set_(2))
    async with controller(client):
        await eventually(lambda: ready(api)[0] == "MemberNotReady")
        await end(api, client, "db-1")
        await eventually(lambda: ready(api)[0] == "LeaseEnded")
        api.edit(SETS, "db", {"metadata": {"generation": made["metadata"]["generation"] + 1}, "spec": {"replicas": 3}}, "a")
        await eventually(lambda: names(api) == ["db-0", "db-1", "db-2"])
        await eventually(lambda: all(one["type"] != "LeaseEnded" for one in stored(api)["status"]["conditions"]))


async def test_a_workload_that_no_set_controls_ends_no_leases(api: FakeApi, client: Client) -> None:
    of = make(api, set_(1))
    forged = member(of, 0)
    forged["metadata"]["ownerReferences"][0]["uid"] = "another"
    free = {**member(of, 0), "metadata": {"name": "free", "namespace": "a"}}
    gone = member({**of, "metadata": {**of["metadata"], "name": "gone"}}, 0)
    for one in (forged, free, gone):
        await end_leases(connect(client), one)
    assert leases_ended(stored(api)) is None


def test_an_end_holds_for_the_spec_of_its_time() -> None:
    of = set_(1)
    ended = {"type": "LeaseEnded", "status": "True", "reason": "LeaseEnded", "message": "so", "lastTransitionTime": timestamp(NOW)}
    for generation, counts in ((2, True), (1, False)):
        of["status"] = {"conditions": [{**ended, "observedGeneration": generation}]}
        assert (leases_ended(of) is not None) == counts
        found = set_status(of, sorted_members(of, []), None, NOW)["conditions"]
        assert ("LeaseEnded" in {one["type"] for one in found}) == counts
        reason = next(one["reason"] for one in found if one["type"] == "Ready")
        assert reason == ("LeaseEnded" if counts else "Scaling")
