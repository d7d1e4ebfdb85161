"""Run the controller of sets on an API server in memory."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from apiserver.client.errors import ApiException
from apiserver.client.objects import name_of
from controllers.cluster import connect
from controllers.runtime.manager import Manager
from controllers.workloadset.controller import WorkloadSetController
from controllers.workloadset.plan import AT_ONCE
from tests.unit.controllers.clusters import WORKLOADS
from tests.unit.controllers.fakeapi import Failure, FakeApi, eventually
from tests.unit.controllers.workloadset.sets import OTHER, Object, changed, member, set_

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from apiserver.client.client import Client
    from controllers.cluster import Cluster
    from controllers.runtime.controller import Result

SETS = "apis/workload.metal3.io/v1alpha1/workloadsets"


@asynccontextmanager
async def controller(client: Client, cluster: Cluster | None = None) -> AsyncIterator[WorkloadSetController]:
    """Run the controller."""
    cluster, manager = cluster or connect(client), Manager()
    for informer in cluster.informers:
        manager.informer(informer)
    made = WorkloadSetController(cluster)
    manager.add(cluster.events)
    manager.add(made)
    task = asyncio.ensure_future(manager.run())
    try:
        await asyncio.wait_for(manager.started.wait(), 60)
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def make(api: FakeApi, of: Object) -> Object:
    """Store the set as a user creates it, and return it."""
    return api.put(SETS, {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "WorkloadSet", **of})


def names(api: FakeApi) -> list[str]:
    return sorted(map(name_of, api.all(WORKLOADS)))


def ready(api: FakeApi) -> tuple[str, str]:
    """Return the reason and the message of the set's condition Ready."""
    conditions = (api.get(SETS, "db", "a").get("status") or {}).get("conditions") or ()
    return next(((one["reason"], one["message"]) for one in conditions if one["type"] == "Ready"), ("", ""))


async def test_members_are_created_and_deleted(api: FakeApi, client: Client) -> None:
    make(api, set_(3))
    async with controller(client):
        await eventually(lambda: names(api) == ["db-0", "db-1", "db-2"])
        await eventually(lambda: api.get(SETS, "db", "a")["status"].get("updatedReplicas") == 3)
        api.edit(SETS, "db", {"spec": {"replicas": 1}}, "a")
        await eventually(lambda: names(api) == ["db-0"])
        api.remove(WORKLOADS, "db-0", "a")
        await eventually(lambda: names(api) == ["db-0"])


async def test_many_members_are_made_in_several_turns(api: FakeApi, client: Client) -> None:
    make(api, set_(2 * AT_ONCE + 3))
    async with controller(client):
        await eventually(lambda: len(names(api)) == 2 * AT_ONCE + 3)


async def test_a_refusal_costs_one_request_and_is_reported(api: FakeApi, client: Client) -> None:
    def quota(verb: str, path: str) -> Failure | None:
        return Failure(403, "Forbidden", "exceeded quota: machines") if verb == "POST" and path.endswith("/workloads") else None

    api.fail = quota
    make(api, set_(200))
    async with controller(client):
        await eventually(lambda: ready(api)[0] == "CreationRefused")
        assert "exceeded quota: machines" in ready(api)[1]
        assert api.requests["POST workloads"] <= 2, "the first batch has one member"
        api.fail = lambda verb, path: None
        await eventually(lambda: len(names(api)) == 200)


async def test_a_member_that_the_cache_does_not_show_is_no_error(api: FakeApi, client: Client) -> None:
    async with controller(client):
        api.watch_delay = 0.3
        make(api, set_(4))
        await eventually(lambda: len(names(api)) == 4)
        api.edit(SETS, "db", {"spec": {"minReadySeconds": 1}}, "a")
        await eventually(lambda: api.get(SETS, "db", "a").get("status", {}).get("replicas") == 4)
        assert names(api) == ["db-0", "db-1", "db-2", "db-3"]
        assert ready(api)[0] in ("MemberNotReady", "Scaling")


async def test_an_orphan_is_adopted_below_the_number_of_replicas_only(api: FakeApi, client: Client) -> None:
    of = make(api, set_(1))
    for number in (0, 1):
        orphan = member(of, number)
        del orphan["metadata"]["ownerReferences"]
        api.put(WORKLOADS, orphan)
    async with controller(client):
        await eventually(lambda: "ownerReferences" in api.get(WORKLOADS, "db-0", "a")["metadata"])
        await eventually(lambda: ready(api)[0] == "Ready")
        assert "ownerReferences" not in api.get(WORKLOADS, "db-1", "a")["metadata"]


async def test_a_set_that_is_gone_adopts_nothing(api: FakeApi, client: Client) -> None:
    """The cache still has the set, and the garbage collector would delete Workloads that it
    adopts."""
    make(api, set_(1))
    cluster = connect(client)
    async with controller(client, cluster) as made:
        await eventually(lambda: names(api) == ["db-0"])
        api.edit(WORKLOADS, "db-0", {"metadata": {"ownerReferences": None}}, "a")
        stale = cluster.sets.store.get("a/db")
        assert stale is not None
        api.edit(SETS, "db", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["orphan"]}}, "a")
        await eventually(lambda: "deletionTimestamp" in (cluster.sets.store.get("a/db") or {"metadata": {}})["metadata"])
        cluster.sets.store.put("a/db", stale)
        with pytest.raises(ApiException, match="modified"):
            await made.reconcile("a/db")
        assert "ownerReferences" not in api.get(WORKLOADS, "db-0", "a")["metadata"]


async def test_a_member_that_leaves_the_selector_is_released_and_keeps_its_name(api: FakeApi, client: Client) -> None:
    make(api, set_(1))
    async with controller(client):
        await eventually(lambda: names(api) == ["db-0"])
        api.edit(WORKLOADS, "db-0", {"metadata": {"labels": {"app": "other"}}}, "a")
        await eventually(lambda: "ownerReferences" not in api.get(WORKLOADS, "db-0", "a")["metadata"])
        await eventually(lambda: ready(api)[0] == "NameTaken")


async def test_a_set_that_is_paused_or_being_deleted_does_nothing(api: FakeApi, client: Client) -> None:
    make(api, set_(1, paused=True))
    gone = set_(1)
    gone["metadata"] |= {"name": "gone", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]}
    make(api, gone)
    async with controller(client):
        await eventually(lambda: ready(api)[0] == "Paused")
        assert names(api) == []
        api.edit(SETS, "db", {"spec": {"paused": None}}, "a")
        await eventually(lambda: names(api) == ["db-0"])


async def test_a_set_of_one_tenant_does_not_delay_others(api: FakeApi, client: Client) -> None:
    make(api, set_(1000))
    small = set_(1)
    small["metadata"] |= {"name": "small", "namespace": "b"}
    small["spec"]["template"]["metadata"]["labels"] = {"app": "db"}
    make(api, small)
    async with controller(client):
        await eventually(lambda: api.find(WORKLOADS, "small-0", "b") is not None)
        assert len(names(api)) < 500


async def test_a_template_is_rolled_out_member_by_member(api: FakeApi, client: Client) -> None:
    of = make(api, set_(2, updateStrategy={"type": "RollingUpdate"}))
    for number in (0, 1):
        api.put(WORKLOADS, member(of, number))
    async with controller(client):
        await eventually(lambda: ready(api)[0] == "Ready")
        api.edit(SETS, "db", {"spec": changed(of, image=OTHER)["spec"]}, "a")
        await eventually(lambda: "image" not in api.get(WORKLOADS, "db-1", "a")["spec"])
        emptied = api.get(WORKLOADS, "db-1", "a")
        status = {"phase": "Bound", "observedGeneration": emptied["metadata"]["generation"]}
        api.edit(WORKLOADS, "db-1", {"status": status}, "a")
        await eventually(lambda: api.get(WORKLOADS, "db-1", "a")["spec"].get("image") == OTHER)
        assert api.get(WORKLOADS, "db-0", "a")["spec"]["image"] != OTHER, "db-1 is not Ready yet"
        again = api.get(WORKLOADS, "db-1", "a")["metadata"]["generation"]
        api.edit(WORKLOADS, "db-1", {"status": {"phase": "Running", "observedGeneration": again}}, "a")
        await eventually(lambda: "image" not in api.get(WORKLOADS, "db-0", "a")["spec"])


async def test_another_class_replaces_the_member(api: FakeApi, client: Client) -> None:
    of = make(api, set_(1, updateStrategy={"type": "RollingUpdate"}))
    uid = api.put(WORKLOADS, member(of, 0))["metadata"]["uid"]
    async with controller(client):
        await eventually(lambda: ready(api)[0] == "Ready")
        api.edit(SETS, "db", {"spec": changed(of, className="large")["spec"]}, "a")
        await eventually(lambda: (api.find(WORKLOADS, "db-0", "a") or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid)
        assert api.get(WORKLOADS, "db-0", "a")["spec"]["className"] == "large"


async def test_a_workload_of_another_namespace_that_names_the_set_as_its_controller_is_no_member(api: FakeApi, client: Client) -> None:
    """Otherwise it would take a member's place, and be given the set's template to read."""
    of = make(api, set_(2))
    forged = member(of, 1)
    forged["metadata"] |= {"namespace": "b", "labels": {"app": "db"}}
    forged["spec"] = {}
    api.put(WORKLOADS, forged)
    async with controller(client):
        await eventually(lambda: api.find(WORKLOADS, "db-1", "a") is not None)
        await eventually(lambda: api.get(SETS, "db", "a")["status"].get("updatedReplicas") == 2)
        assert api.get(WORKLOADS, "db-1", "b")["spec"] == {}


async def test_labels_are_changed_in_several_turns(api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other sets have their turns while a label of many members changes."""
    make(api, set_(2 * AT_ONCE + 3))
    async with controller(client) as made:
        await eventually(lambda: len(names(api)) == 2 * AT_ONCE + 3)
        turns, patched = list[int](), made._patch

        async def counted(one: Object, patch: Object) -> None:
            turns[-1] += 1
            await patched(one, patch)

        async def turn(key: str) -> Result | None:
            turns.append(0)
            return await made.reconcile(key)

        monkeypatch.setattr(made, "_patch", counted)
        monkeypatch.setattr(made.controller, "_reconcile", turn)
        api.edit(SETS, "db", {"spec": {"template": {"metadata": {"labels": {"tier": "x"}}}}}, "a")
        await eventually(lambda: all(one["metadata"]["labels"].get("tier") == "x" for one in api.all(WORKLOADS)))
        assert max(turns) <= AT_ONCE


async def test_refused_changes_of_many_members_are_not_tried_again_at_once(api: FakeApi, client: Client) -> None:
    """A tenant may ask for what a policy or the class refuses, such as a longer lease."""
    of = make(api, set_(2 * AT_ONCE + 3, paused=True))
    for number in range(2 * AT_ONCE + 3):
        api.put(WORKLOADS, member(of, number))
    labelled = {"spec": {"template": {"metadata": {"labels": {"app": "db", "team": "x"}}}}}
    async with controller(client) as made:
        api.edit(SETS, "db", labelled, "a")
        await eventually(lambda: "team" in str(made._cluster.sets.store.get("a/db")))
        stored = made._cluster.sets.store.get("a/db")
        assert stored is not None
        refused = Failure(422, "Invalid", "the class allows at most 60 seconds")
        api.fail = lambda verb, path: refused if verb == "PATCH" and "/workloads/" in path else None
        assert not await made._update(stored, made._members(stored))
        assert AT_ONCE <= api.requests["PATCH workloads"] <= 2 * AT_ONCE
        api.fail = lambda verb, path: None
        assert await made._update(stored, made._members(stored))
