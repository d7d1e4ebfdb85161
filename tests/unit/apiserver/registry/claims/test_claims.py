"""Claim, change and release hosts by binding, through the view, and by hand. Nobody gets what
another tenant has."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.host import view_uid
from apiserver.apis.status import ApiError
from apiserver.apis.workload import HOST_CHOSEN
from apiserver.registry.claims.claims import RELEASE_FINALIZER
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Bench, report

if TYPE_CHECKING:
    from collections.abc import Callable

    from apiserver.registry.generic.entry import Entry


def condition(obj: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(c for c in obj["status"]["conditions"] if c["type"] == kind)


def annotate(**annotations: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(obj: dict[str, Any]) -> dict[str, Any]:
        wanted = {**(obj["metadata"].get("annotations") or {}), **{k.replace("_", "/"): v for k, v in annotations.items()}}
        return {**obj, "metadata": {**obj["metadata"], "annotations": wanted}}

    return change


async def test_an_offer_shows_the_host_without_its_bmc(bench: Bench) -> None:
    host = await bench.add_host()
    view = bench.view("tenant-a", "node-0")
    assert view is not None
    assert view["metadata"]["uid"] == view_uid("uid-node-0", "tenant-a")
    assert view["metadata"]["labels"] == {"rack": "r1"}
    assert view["spec"]["bmc"] == {"address": "", "credentialsName": ""}
    assert view["status"]["provisioning"] == {"state": "available", "ID": host}


async def test_offers_are_made_and_withdrawn(bench: Bench) -> None:
    host = await bench.add_host(offers=("tenant-a",))
    assert bench.view("tenant-b", "node-0") is None
    await bench.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": ["tenant-b"]})
    assert bench.view("tenant-a", "node-0") is None
    assert bench.view("tenant-b", "node-0") is not None


async def test_hosts_of_one_name_get_a_stable_suffix(bench: Bench) -> None:
    await bench.add_host(uid="first", offers=("tenant-a",))
    second = await bench.add_host(uid="second", offers=("tenant-a",))
    names = sorted(entry.name for entry in bench.views.collection.range())
    assert names == ["node-0", f"node-0-{second[:8]}"]


async def test_binding_claims_host_workload_and_view_in_one_commit(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"image": IMAGE}})
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    workload, claimed = bench.workloads.get("tenant-a", "w"), bench.hosts.get("", host)
    view = bench.views.get("tenant-a", "node-0")
    assert workload.revision == claimed.revision == view.revision
    assert workload.object()["status"]["host"] == {"name": "node-0", "uid": view_uid("uid-node-0", "tenant-a"), "class": "metal"}
    assert workload.object()["metadata"]["finalizers"] == [RELEASE_FINALIZER]
    assert condition(workload.object(), "Bound")["status"] == "True"
    assert view.object()["spec"]["image"] == IMAGE
    assert view.object()["spec"]["consumerRef"]["kind"] == "Workload"
    assert bench.view("tenant-b", "node-0") is None


async def test_binding_twice_is_idempotent_and_to_another_refused(bench: Bench) -> None:
    first, second = await bench.add_host("node-0"), await bench.add_host("node-1")
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}})
    for _ in range(2):
        await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": first}})
    with pytest.raises(ApiError) as refused:
        await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": second}})
    assert refused.value.code == 409
    assert "claimRef" not in bench.hosts.get("", second).object()["spec"]


@pytest.mark.parametrize("status", [{"available": False, "reason": "Paused"}, {"available": True, "dirtyFor": "tenant-b"}])
async def test_binding_refuses_hosts_that_cannot_be_had(bench: Bench, status: dict[str, Any]) -> None:
    host = await bench.add_host()
    await bench.report(host, {**status, "report": report()})
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}})
    with pytest.raises(ApiError) as refused:
        await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert refused.value.code == 409
    assert "choose another" in refused.value.message
    assert "tenant-b" not in refused.value.message


async def test_many_claims_at_once_have_one_winner(bench: Bench) -> None:
    tenants = tuple(f"tenant-{i}" for i in range(8))
    host = await bench.add_host(offers=tenants)
    results = await asyncio.gather(
        *(bench.patch_view(t, "node-0", consumerRef={**CONSUMER, "namespace": t}, image=IMAGE) for t in tenants), return_exceptions=True
    )
    lost = [r for r in results if isinstance(r, ApiError)]
    assert len(lost) == len(tenants) - 1
    assert {r.code for r in lost} == {404}
    assert len(bench.workloads.collection) == 1
    winner = bench.hosts.get("", host).object()["spec"]["claimRef"]["namespace"]
    assert [e.namespace for e in bench.views.collection.range()] == [winner]


async def test_claim_through_the_view_makes_the_workload_and_round_trips(bench: Bench) -> None:
    await bench.add_host()
    view = await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)
    assert view["spec"]["consumerRef"] == CONSUMER
    assert view["spec"]["image"] == IMAGE
    workload = bench.workloads.get("tenant-a", "node-0").object()
    assert workload["spec"]["consumerRef"] == CONSUMER
    assert workload["spec"]["image"] == IMAGE
    assert workload["spec"]["hostRef"] == {"name": "node-0"}
    assert workload["status"]["host"]["name"] == "node-0"
    await unlike_nothing(bench, "tenant-b")


async def unlike_nothing(bench: Bench, namespace: str) -> None:
    """Check that an offer which somebody took answers like one that never existed."""

    async def answers(name: str) -> list[str]:
        writes = [
            bench.patch_view(namespace, name, consumerRef={**CONSUMER, "namespace": namespace}),
            bench.views.apply(CONTEXT, namespace, name, {"spec": {"online": True}}, force=False),
            bench.views.delete(CONTEXT, namespace, name, DeleteOptions()),
        ]
        refused = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(one, ApiError) and one.code == 404 for one in refused)
        return [json.dumps(one.status()).replace(name, "NAME") for one in refused if isinstance(one, ApiError)]

    assert await answers("node-0") == await answers("never")


async def test_an_offer_that_is_not_withdrawn_yet_says_nothing_of_the_claim(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def killed(context: object, old: object, new: object) -> None:
        """Let the server die before it withdraws the other offers."""

    monkeypatch.setattr(bench.views.strategy, "after_commit", killed)
    await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert bench.view("tenant-b", "node-0") is not None
    await unlike_nothing(bench, "tenant-b")


async def test_operations_before_the_claim_are_not_the_claimants_to_see(bench: Bench) -> None:
    theirs = {"provision": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}, "register": {"start": None, "end": None}}
    host = await bench.add_host()
    await bench.report(host, {"available": True, "report": report(operationHistory=theirs)})
    view = await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert "operationHistory" not in view["status"]
    own = {"start": "1999-01-01T00:00:00Z", "end": None}
    await bench.report(host, {"available": True, "report": report(operationHistory={**theirs, "deprovision": own})})
    seen = bench.view("tenant-a", "node-0")
    assert seen is not None
    assert set(seen["status"]["operationHistory"]) == {"deprovision"}
    await bench.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {**old["spec"], "claimRef": None}})
    assert "earlier" not in bench.hosts.get("", host).object()["spec"]


async def test_an_empty_image_format_is_tolerated(bench: Bench) -> None:
    await bench.add_host()
    view = await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image={**IMAGE, "format": ""})
    assert view["spec"]["image"]["format"] == ""


async def test_a_rival_consumer_of_the_same_namespace_gets_409(bench: Bench) -> None:
    await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    with pytest.raises(ApiError) as rival:
        await bench.patch_view("tenant-a", "node-0", consumerRef={**CONSUMER, "name": "m-1"})
    assert rival.value.code == 409
    informed = Context(UserInfo("somebody"), informed=True)
    assert (await bench.patch_view("tenant-a", "node-0", informed, consumerRef={**CONSUMER, "name": "m-1"}))["spec"]["consumerRef"][
        "name"
    ] == "m-1"


async def test_node_reuse_hands_the_host_to_the_cluster_and_back(bench: Bench) -> None:
    await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    cluster = {"kind": "Cluster", "name": "c", "namespace": "tenant-a", "apiVersion": "cluster.x-k8s.io/v1beta1"}
    await bench.patch_view("tenant-a", "node-0", consumerRef=cluster)
    view = await bench.patch_view("tenant-a", "node-0", consumerRef={**CONSUMER, "name": "m-9"})
    assert view["spec"]["consumerRef"]["name"] == "m-9"


async def test_tenant_metadata_stays_over_the_hosts_changes(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    await bench.views.update(CONTEXT, "tenant-a", "node-0", annotate(**{"reboot.metal3.io_x": "{}"}))
    changed = report()
    changed["labels"] = {"rack": "r2", "zone": "z"}
    await bench.report(host, {"available": False, "report": changed})
    view = bench.view("tenant-a", "node-0")
    assert view is not None
    assert view["metadata"]["annotations"] == {"reboot.metal3.io/x": "{}"}
    assert view["metadata"]["labels"] == {"rack": "r2", "zone": "z"}


async def test_a_report_and_the_claimed_view_share_one_commit(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    await bench.report(host, {"available": False, "report": report(state="provisioning")})
    assert bench.hosts.get("", host).revision == bench.views.get("tenant-a", "node-0").revision
    view = bench.view("tenant-a", "node-0")
    assert view is not None
    assert view["status"]["provisioning"]["state"] == "provisioning"


async def test_clearing_the_image_shows_deprovisioning_at_once(bench: Bench) -> None:
    await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    await bench.workloads.update(CONTEXT, "tenant-a", "node-0", lambda w: {**w, "status": {"phase": "Provisioning"}}, subresource="status")
    # The report still says available, because the real host has not begun. CAPM3 must not take that
    # for the end of deprovisioning.
    view = await bench.patch_view("tenant-a", "node-0", image=None, userData=None)
    assert view["status"]["provisioning"]["state"] == "deprovisioning"
    await bench.workloads.update(CONTEXT, "tenant-a", "node-0", lambda w: {**w, "status": {"phase": "Bound"}}, subresource="status")
    after = bench.view("tenant-a", "node-0")
    assert after is not None
    assert after["status"]["provisioning"]["state"] == "available"


@pytest.mark.parametrize("report_first", [True, False])
async def test_a_report_and_a_phase_at_once_both_show(bench: Bench, report_first: bool) -> None:
    """Write a report and a phase at once. Neither alone changes the view, so the second to arrive
    has to see the first."""
    host = await bench.add_host(offers=("tenant-a",))
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)

    def phase(new: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda obj: {**obj, "status": {**obj["status"], "phase": new}}

    await bench.workloads.update(CONTEXT, "tenant-a", "node-0", phase("Running"), subresource="status")
    await bench.patch_view("tenant-a", "node-0", image=None)
    await bench.report(host, {"available": False, "report": report(state="deprovisioning")})
    writes = [
        bench.report(host, {"available": False, "report": report(state="available")}),
        bench.workloads.update(CONTEXT, "tenant-a", "node-0", phase("Bound"), subresource="status"),
    ]
    await asyncio.gather(*(writes if report_first else reversed(writes)))
    view = bench.view("tenant-a", "node-0")
    assert view is not None
    assert view["status"]["provisioning"]["state"] == "available"


async def test_an_unbound_host_is_offered_though_a_report_came_between_whose_writer_was_cut_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off the writer of a report. Controllers that die at this moment would leave the host
    without an offer, and no later event would reveal it."""
    host = await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    show, reports = bench.hosts.claims.show, 0

    async def cut_off(entry: Entry) -> None:
        raise asyncio.CancelledError

    async def reported(entry: Entry) -> None:
        nonlocal reports
        reports += 1
        if reports == 1:
            monkeypatch.setattr(bench.hosts.claims, "show", cut_off)
            await asyncio.gather(bench.report(host, {"available": True, "report": report(state="ready")}), return_exceptions=True)
            monkeypatch.setattr(bench.hosts.claims, "show", show)
        await show(entry)

    monkeypatch.setattr(bench.hosts.claims, "show", reported)
    await bench.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {k: v for k, v in old["spec"].items() if k != "claimRef"}})
    assert reports == 1
    for tenant in ("tenant-a", "tenant-b"):
        view = bench.view(tenant, "node-0")
        assert view is not None
        assert "consumerRef" not in view["spec"]


async def test_clearing_the_consumer_releases(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    view = await bench.patch_view("tenant-a", "node-0", consumerRef=None, image=None)
    assert "consumerRef" not in view["spec"]
    assert view["status"]["provisioning"]["state"] == "deprovisioning"
    workload = bench.workloads.get("tenant-a", "node-0").object()
    assert "deletionTimestamp" in workload["metadata"]
    assert "image" not in workload["spec"]
    with pytest.raises(ApiError) as early:
        await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert early.value.code == 422
    await finish_release(bench, host, "node-0")
    assert bench.workloads.find("tenant-a", "node-0") is None
    free = bench.view("tenant-a", "node-0")
    assert free is not None
    assert "consumerRef" not in free["spec"]
    assert "deletionTimestamp" not in free["metadata"]
    assert bench.view("tenant-b", "node-0") is not None


async def test_a_released_host_stays_in_sight_of_who_had_it(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    created = bench.views.get("tenant-a", "node-0").object()["metadata"]["creationTimestamp"]
    changes = bench.views.collection.subscribe(bench.views.collection.revision)
    await bench.patch_view("tenant-a", "node-0", consumerRef=None, image=None)
    await finish_release(bench, host, "node-0")
    seen = [(change.type, change.item.namespace) for change in await changes.next(1)]
    changes.close()
    assert ("delete", "tenant-a") not in seen
    view = bench.views.get("tenant-a", "node-0").object()
    assert view["metadata"]["creationTimestamp"] == created
    assert "consumerRef" not in view["spec"]
    assert "image" not in view["spec"]


async def test_a_dirty_host_is_seen_by_its_namespace_only(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    await bench.patch_view("tenant-a", "node-0", consumerRef=None)
    await bench.report(host, {"available": True, "dirtyFor": "tenant-a", "report": report()})
    await finish_release(bench, host, "node-0")
    assert bench.view("tenant-a", "node-0") is not None
    assert bench.view("tenant-b", "node-0") is None


async def finish_release(bench: Bench, host: str, workload: str) -> None:
    """Clear the claim and then drop the finalizer, as the workload controller does at the end."""

    def unclaim(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {k: v for k, v in obj["spec"].items() if k != "claimRef"}}

    def finalize(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "metadata": {**obj["metadata"], "finalizers": [f for f in obj["metadata"]["finalizers"] if f != RELEASE_FINALIZER]}}

    await bench.hosts.update(CONTEXT, "", host, unclaim)
    await bench.workloads.update(CONTEXT, "tenant-a", workload, finalize)


async def test_deleting_a_claimed_view_releases_and_a_free_one_goes_at_once(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    _, gone = await bench.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    assert not gone
    view = bench.view("tenant-a", "node-0")
    assert view is not None
    assert "deletionTimestamp" in view["metadata"]
    assert "deletionTimestamp" in bench.workloads.get("tenant-a", "node-0").object()["metadata"]
    await bench.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": []})
    await finish_release(bench, host, "node-0")
    _, gone = await bench.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    assert gone
    assert bench.view("tenant-a", "node-0") is None


async def test_a_deleted_offer_is_withdrawn_in_the_records_so_that_it_is_made_again(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    assert bench.view("tenant-a", "node-0") is None
    assert bench.hosts.get("", host).object()["spec"]["offers"] == ["tenant-b"]
    await bench.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": ["tenant-a", "tenant-b"]})
    assert bench.view("tenant-a", "node-0") is not None


async def test_the_owner_takes_a_host_back_by_clearing_claim_ref(bench: Bench) -> None:
    host = await bench.add_host(offers=("tenant-a",))
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"image": IMAGE}})
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})

    def unclaim(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {**obj["spec"], "claimRef": None}}

    await bench.hosts.update(CONTEXT, "", host, unclaim)
    workload = bench.workloads.get("tenant-a", "w").object()
    assert workload["status"]["phase"] == "Lost"
    assert "host" not in workload["status"]
    assert condition(workload, "Bound")["reason"] == "HostTakenBack"


async def test_a_workload_that_gives_its_host_up_waits_for_another_one(bench: Bench) -> None:
    first, second = await bench.add_host("node-0"), await bench.add_host("node-1")
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"image": IMAGE}})
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": first}})
    assert condition(bench.workloads.get("tenant-a", "w").object(), "Bound")["reason"] == HOST_CHOSEN

    def give_up(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "status": {**obj["status"], "phase": "Pending"}}

    def clear(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {**obj["spec"], "claimRef": None}}

    await bench.workloads.update(CONTEXT, "tenant-a", "w", give_up, subresource="status")
    await bench.hosts.update(CONTEXT, "", first, clear)
    status = bench.workloads.get("tenant-a", "w").object()["status"]
    assert status["phase"] == "Pending"
    assert "host" not in status
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": second}})
    assert bench.workloads.get("tenant-a", "w").object()["status"]["host"]["name"] == "node-1"


async def test_nobody_sets_claim_ref_by_a_plain_write(bench: Bench) -> None:
    host = await bench.add_host()

    def steal(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {**obj["spec"], "claimRef": {"namespace": "tenant-b", "name": "w", "uid": "u"}}}

    with pytest.raises(ApiError) as refused:
        await bench.hosts.update(CONTEXT, "", host, steal)
    assert refused.value.code == 422


async def test_a_claimed_host_cannot_be_forgotten(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    with pytest.raises(ApiError) as refused:
        await bench.hosts.delete(CONTEXT, "", host, DeleteOptions())
    assert refused.value.code == 409
    assert "tenant-a/node-0" in refused.value.message


async def test_forgetting_a_free_host_withdraws_its_offers(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.hosts.delete(CONTEXT, "", host, DeleteOptions())
    assert not bench.views.collection.range()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"online": True}, "spec.consumerRef"),
        ({"consumerRef": CONSUMER, "bootMACAddress": "00:00:00:00:00:01"}, "spec.bootMACAddress"),
        ({"consumerRef": CONSUMER, "bmc": {"address": "ipmi://1.2.3.4", "credentialsName": "x"}}, "spec.bmc"),
        ({"consumerRef": CONSUMER, "userData": {"name": "s", "namespace": "metal3"}}, "spec.userData.namespace"),
    ],
)
async def test_what_a_tenant_may_not_write_is_refused_by_field(bench: Bench, spec: dict[str, Any], field: str) -> None:
    await bench.add_host()
    with pytest.raises(ApiError) as refused:
        await bench.patch_view("tenant-a", "node-0", **spec)
    assert refused.value.code == 422
    assert [c["field"] for c in refused.value.details["causes"]] == [field]
    assert len(bench.workloads.collection) == 0


async def test_a_dry_run_claims_nothing(bench: Bench) -> None:
    await bench.add_host()
    view = await bench.patch_view("tenant-a", "node-0", Context(UserInfo("x"), dry_run=True), consumerRef=CONSUMER)
    assert view["spec"]["consumerRef"] == CONSUMER
    assert len(bench.workloads.collection) == 0
    assert bench.view("tenant-b", "node-0") is not None


async def test_status_host_is_the_bindings_alone(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}})
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    await bench.workloads.update(CONTEXT, "tenant-a", "w", lambda w: {**w, "status": {"phase": "Running"}}, subresource="status")
    status = bench.workloads.get("tenant-a", "w").object()["status"]
    assert status["host"]["name"] == "node-0"
    assert status["phase"] == "Running"


async def test_what_chose_the_host_is_fixed_with_it(bench: Bench) -> None:
    host = await bench.add_host()
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}})
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    with pytest.raises(ApiError) as refused:
        await bench.workloads.update(CONTEXT, "tenant-a", "w", lambda w: {**w, "spec": {**w["spec"], "requirements": {"cpuCount": 4}}})
    assert [c["field"] for c in refused.value.details["causes"]] == ["spec.requirements"]
