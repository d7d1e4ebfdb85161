"""Claim, change and release hosts by binding, through the view, and by hand. No tenant gets a host
that another tenant has."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.host import view_uid
from apiserver.apis.names import RELEASE_FINALIZER
from apiserver.apis.status import ApiError
from apiserver.apis.workload import HOST_CHOSEN
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Registries, report

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


async def test_an_offer_shows_the_host_without_its_bmc(registries: Registries) -> None:
    host = await registries.add_host()
    view = registries.view("tenant-a", "node-0")
    assert view is not None
    assert view["metadata"]["uid"] == view_uid("uid-node-0", "tenant-a")
    assert view["metadata"]["labels"] == {"rack": "r1"}
    assert view["spec"]["bmc"] == {"address": "", "credentialsName": ""}
    assert view["status"]["provisioning"] == {"state": "available", "ID": host}


async def test_offers_are_made_and_withdrawn(registries: Registries) -> None:
    host = await registries.add_host(offers=("tenant-a",))
    assert registries.view("tenant-b", "node-0") is None
    await registries.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": ["tenant-b"]})
    assert registries.view("tenant-a", "node-0") is None
    assert registries.view("tenant-b", "node-0") is not None


async def test_hosts_of_one_name_get_a_stable_suffix(registries: Registries) -> None:
    await registries.add_host(uid="first", offers=("tenant-a",))
    second = await registries.add_host(uid="second", offers=("tenant-a",))
    names = sorted(entry.name for entry in registries.views.collection.range())
    assert names == ["node-0", f"node-0-{second[:8]}"]


async def test_binding_claims_host_workload_and_view_in_one_commit(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"image": IMAGE}})
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    workload, claimed = registries.workloads.get("tenant-a", "w"), registries.hosts.get("", host)
    view = registries.views.get("tenant-a", "node-0")
    assert workload.revision == claimed.revision == view.revision
    assert workload.object()["status"]["host"] == {"name": "node-0", "uid": view_uid("uid-node-0", "tenant-a"), "class": "metal"}
    assert workload.object()["metadata"]["finalizers"] == [RELEASE_FINALIZER]
    assert condition(workload.object(), "Bound")["status"] == "True"
    assert view.object()["spec"]["image"] == IMAGE
    assert view.object()["spec"]["consumerRef"]["kind"] == "Workload"
    assert registries.view("tenant-b", "node-0") is None


async def test_binding_twice_is_idempotent_and_to_another_refused(registries: Registries) -> None:
    first, second = await registries.add_host("node-0"), await registries.add_host("node-1")
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}})
    for _ in range(2):
        await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": first}})
    with pytest.raises(ApiError) as refused:
        await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": second}})
    assert refused.value.code == 409
    assert "claimRef" not in registries.hosts.get("", second).object()["spec"]


@pytest.mark.parametrize("status", [{"available": False, "reason": "Paused"}, {"available": True, "dirtyFor": "tenant-b"}])
async def test_binding_refuses_hosts_that_cannot_be_had(registries: Registries, status: dict[str, Any]) -> None:
    host = await registries.add_host()
    await registries.report(host, {**status, "report": report()})
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}})
    with pytest.raises(ApiError) as refused:
        await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert refused.value.code == 409
    assert "choose another" in refused.value.message
    assert "tenant-b" not in refused.value.message


async def test_many_claims_at_once_have_one_winner(registries: Registries) -> None:
    tenants = tuple(f"tenant-{i}" for i in range(8))
    host = await registries.add_host(offers=tenants)
    results = await asyncio.gather(
        *(registries.patch_view(t, "node-0", consumerRef={**CONSUMER, "namespace": t}, image=IMAGE) for t in tenants),
        return_exceptions=True,
    )
    lost = [r for r in results if isinstance(r, ApiError)]
    assert len(lost) == len(tenants) - 1
    assert {r.code for r in lost} == {404}
    assert len(registries.workloads.collection) == 1
    winner = registries.hosts.get("", host).object()["spec"]["claimRef"]["namespace"]
    assert [e.namespace for e in registries.views.collection.range()] == [winner]


async def test_claim_through_the_view_makes_the_workload_and_round_trips(registries: Registries) -> None:
    await registries.add_host()
    view = await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)
    assert view["spec"]["consumerRef"] == CONSUMER
    assert view["spec"]["image"] == IMAGE
    workload = registries.workloads.get("tenant-a", "node-0").object()
    assert workload["spec"]["consumerRef"] == CONSUMER
    assert workload["spec"]["image"] == IMAGE
    assert workload["spec"]["hostRef"] == {"name": "node-0"}
    assert workload["status"]["host"]["name"] == "node-0"
    await unlike_nothing(registries, "tenant-b")


async def unlike_nothing(registries: Registries, namespace: str) -> None:
    """Check that an offer which another tenant took answers like one that never existed."""

    async def answers(name: str) -> list[str]:
        writes = [
            registries.patch_view(namespace, name, consumerRef={**CONSUMER, "namespace": namespace}),
            registries.views.apply(CONTEXT, namespace, name, {"spec": {"online": True}}, force=False),
            registries.views.delete(CONTEXT, namespace, name, DeleteOptions()),
        ]
        refused = await asyncio.gather(*writes, return_exceptions=True)
        assert all(isinstance(one, ApiError) and one.code == 404 for one in refused)
        return [json.dumps(one.status()).replace(name, "NAME") for one in refused if isinstance(one, ApiError)]

    assert await answers("node-0") == await answers("never")


async def test_an_offer_that_is_not_withdrawn_yet_says_nothing_of_the_claim(
    registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(context: object, old: object, new: object) -> None:
        """Let the server die before it withdraws the other offers."""

    monkeypatch.setattr(registries.views.strategy, "after_commit", killed)
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert registries.view("tenant-b", "node-0") is not None
    await unlike_nothing(registries, "tenant-b")


async def test_operations_before_the_claim_are_not_the_claimants_to_see(registries: Registries) -> None:
    theirs = {"provision": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"}, "register": {"start": None, "end": None}}
    host = await registries.add_host()
    await registries.report(host, {"available": True, "report": report(operationHistory=theirs)})
    view = await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert "operationHistory" not in view["status"]
    own = {"start": "1999-01-01T00:00:00Z", "end": None}
    await registries.report(host, {"available": True, "report": report(operationHistory={**theirs, "deprovision": own})})
    seen = registries.view("tenant-a", "node-0")
    assert seen is not None
    assert set(seen["status"]["operationHistory"]) == {"deprovision"}
    await registries.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {**old["spec"], "claimRef": None}})
    assert "earlier" not in registries.hosts.get("", host).object()["spec"]


async def test_an_empty_image_format_is_tolerated(registries: Registries) -> None:
    await registries.add_host()
    view = await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image={**IMAGE, "format": ""})
    assert view["spec"]["image"]["format"] == ""


async def test_a_rival_consumer_of_the_same_namespace_gets_409(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    with pytest.raises(ApiError) as rival:
        await registries.patch_view("tenant-a", "node-0", consumerRef={**CONSUMER, "name": "m-1"})
    assert rival.value.code == 409
    current = Context(UserInfo("somebody"), has_version=True)
    assert (await registries.patch_view("tenant-a", "node-0", current, consumerRef={**CONSUMER, "name": "m-1"}))["spec"]["consumerRef"][
        "name"
    ] == "m-1"


async def test_node_reuse_hands_the_host_to_the_cluster_and_back(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    cluster = {"kind": "Cluster", "name": "c", "namespace": "tenant-a", "apiVersion": "cluster.x-k8s.io/v1beta1"}
    await registries.patch_view("tenant-a", "node-0", consumerRef=cluster)
    view = await registries.patch_view("tenant-a", "node-0", consumerRef={**CONSUMER, "name": "m-9"})
    assert view["spec"]["consumerRef"]["name"] == "m-9"


async def test_tenant_metadata_stays_over_the_hosts_changes(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    await registries.views.update(CONTEXT, "tenant-a", "node-0", annotate(**{"reboot.metal3.io_x": "{}"}))
    changed = report()
    changed["labels"] = {"rack": "r2", "zone": "z"}
    await registries.report(host, {"available": False, "report": changed})
    view = registries.view("tenant-a", "node-0")
    assert view is not None
    assert view["metadata"]["annotations"] == {"reboot.metal3.io/x": "{}"}
    assert view["metadata"]["labels"] == {"rack": "r2", "zone": "z"}


async def test_a_report_and_the_claimed_view_share_one_commit(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    await registries.report(host, {"available": False, "report": report(state="provisioning")})
    assert registries.hosts.get("", host).revision == registries.views.get("tenant-a", "node-0").revision
    view = registries.view("tenant-a", "node-0")
    assert view is not None
    assert view["status"]["provisioning"]["state"] == "provisioning"


async def test_clearing_the_image_shows_deprovisioning_at_once(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    await registries.workloads.update(
        CONTEXT, "tenant-a", "node-0", lambda w: {**w, "status": {"phase": "Provisioning"}}, subresource="status"
    )
    # The report still says available, because the real host has not begun. CAPM3 must not take that
    # for the end of deprovisioning.
    view = await registries.patch_view("tenant-a", "node-0", image=None, userData=None)
    assert view["status"]["provisioning"]["state"] == "deprovisioning"
    await registries.workloads.update(CONTEXT, "tenant-a", "node-0", lambda w: {**w, "status": {"phase": "Bound"}}, subresource="status")
    after = registries.view("tenant-a", "node-0")
    assert after is not None
    assert after["status"]["provisioning"]["state"] == "available"


@pytest.mark.parametrize("report_first", [True, False])
async def test_a_report_and_a_phase_at_once_both_show(registries: Registries, report_first: bool) -> None:
    """Write a report and a phase at once. Neither alone changes the view, so the second to arrive
    has to see the first."""
    host = await registries.add_host(offers=("tenant-a",))
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)

    def phase(new: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda obj: {**obj, "status": {**obj["status"], "phase": new}}

    await registries.workloads.update(CONTEXT, "tenant-a", "node-0", phase("Running"), subresource="status")
    await registries.patch_view("tenant-a", "node-0", image=None)
    await registries.report(host, {"available": False, "report": report(state="deprovisioning")})
    writes = [
        registries.report(host, {"available": False, "report": report(state="available")}),
        registries.workloads.update(CONTEXT, "tenant-a", "node-0", phase("Bound"), subresource="status"),
    ]
    await asyncio.gather(*(writes if report_first else reversed(writes)))
    view = registries.view("tenant-a", "node-0")
    assert view is not None
    assert view["status"]["provisioning"]["state"] == "available"


async def test_an_unbound_host_is_offered_though_a_report_came_between_whose_writer_was_cut_off(
    registries: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off the writer of a report. Controllers that die at this moment would leave the host
    without an offer, and no later event would reveal it."""
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    show, reports = registries.hosts.claims.show, 0

    async def cut_off(entry: Entry) -> None:
        raise asyncio.CancelledError

    async def reported(entry: Entry) -> None:
        nonlocal reports
        reports += 1
        if reports == 1:
            monkeypatch.setattr(registries.hosts.claims, "show", cut_off)
            await asyncio.gather(registries.report(host, {"available": True, "report": report(state="ready")}), return_exceptions=True)
            monkeypatch.setattr(registries.hosts.claims, "show", show)
        await show(entry)

    monkeypatch.setattr(registries.hosts.claims, "show", reported)
    await registries.hosts.update(CONTEXT, "", host, lambda old: {**old, "spec": {k: v for k, v in old["spec"].items() if k != "claimRef"}})
    assert reports == 1
    for tenant in ("tenant-a", "tenant-b"):
        view = registries.view(tenant, "node-0")
        assert view is not None
        assert "consumerRef" not in view["spec"]


async def test_clearing_the_consumer_releases(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    view = await registries.patch_view("tenant-a", "node-0", consumerRef=None, image=None)
    assert "consumerRef" not in view["spec"]
    assert view["status"]["provisioning"]["state"] == "deprovisioning"
    workload = registries.workloads.get("tenant-a", "node-0").object()
    assert "deletionTimestamp" in workload["metadata"]
    assert "image" not in workload["spec"]
    with pytest.raises(ApiError) as early:
        await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert early.value.code == 422
    await finish_release(registries, host, "node-0")
    assert registries.workloads.find("tenant-a", "node-0") is None
    free = registries.view("tenant-a", "node-0")
    assert free is not None
    assert "consumerRef" not in free["spec"]
    assert "deletionTimestamp" not in free["metadata"]
    assert registries.view("tenant-b", "node-0") is not None


async def test_a_released_host_stays_visible_to_the_namespace_that_had_it(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    created = registries.views.get("tenant-a", "node-0").object()["metadata"]["creationTimestamp"]
    changes = registries.views.collection.subscribe(registries.views.collection.revision)
    await registries.patch_view("tenant-a", "node-0", consumerRef=None, image=None)
    await finish_release(registries, host, "node-0")
    seen = [(change.type, change.item.namespace) for change in await changes.next(1)]
    changes.close()
    assert ("delete", "tenant-a") not in seen
    view = registries.views.get("tenant-a", "node-0").object()
    assert view["metadata"]["creationTimestamp"] == created
    assert "consumerRef" not in view["spec"]
    assert "image" not in view["spec"]


async def test_a_dirty_host_is_seen_by_its_namespace_only(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    await registries.patch_view("tenant-a", "node-0", consumerRef=None)
    await registries.report(host, {"available": True, "dirtyFor": "tenant-a", "report": report()})
    await finish_release(registries, host, "node-0")
    assert registries.view("tenant-a", "node-0") is not None
    assert registries.view("tenant-b", "node-0") is None


async def finish_release(registries: Registries, host: str, workload: str) -> None:
    """Clear the claim and then drop the finalizer, as the workload controller does at the end."""

    def unclaim(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {k: v for k, v in obj["spec"].items() if k != "claimRef"}}

    def finalize(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "metadata": {**obj["metadata"], "finalizers": [f for f in obj["metadata"]["finalizers"] if f != RELEASE_FINALIZER]}}

    await registries.hosts.update(CONTEXT, "", host, unclaim)
    await registries.workloads.update(CONTEXT, "tenant-a", workload, finalize)


async def test_deleting_a_claimed_view_releases_and_a_free_one_goes_at_once(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE)
    _, gone = await registries.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    assert not gone
    view = registries.view("tenant-a", "node-0")
    assert view is not None
    assert "deletionTimestamp" in view["metadata"]
    assert "deletionTimestamp" in registries.workloads.get("tenant-a", "node-0").object()["metadata"]
    await registries.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": []})
    await finish_release(registries, host, "node-0")
    _, gone = await registries.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    assert gone
    assert registries.view("tenant-a", "node-0") is None


async def test_a_deleted_offer_is_withdrawn_in_the_records_so_that_it_is_made_again(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    assert registries.view("tenant-a", "node-0") is None
    assert registries.hosts.get("", host).object()["spec"]["offers"] == ["tenant-b"]
    await registries.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": ["tenant-a", "tenant-b"]})
    assert registries.view("tenant-a", "node-0") is not None


async def test_the_owner_takes_a_host_back_by_clearing_claim_ref(registries: Registries) -> None:
    host = await registries.add_host(offers=("tenant-a",))
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"image": IMAGE}})
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})

    def unclaim(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {**obj["spec"], "claimRef": None}}

    await registries.hosts.update(CONTEXT, "", host, unclaim)
    workload = registries.workloads.get("tenant-a", "w").object()
    assert workload["status"]["phase"] == "Lost"
    assert "host" not in workload["status"]
    assert condition(workload, "Bound")["reason"] == "HostTakenBack"


async def test_a_workload_that_gives_its_host_up_waits_for_another_one(registries: Registries) -> None:
    first, second = await registries.add_host("node-0"), await registries.add_host("node-1")
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": {"image": IMAGE}})
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": first}})
    assert condition(registries.workloads.get("tenant-a", "w").object(), "Bound")["reason"] == HOST_CHOSEN

    def give_up(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "status": {**obj["status"], "phase": "Pending"}}

    def clear(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {**obj["spec"], "claimRef": None}}

    await registries.workloads.update(CONTEXT, "tenant-a", "w", give_up, subresource="status")
    await registries.hosts.update(CONTEXT, "", first, clear)
    status = registries.workloads.get("tenant-a", "w").object()["status"]
    assert status["phase"] == "Pending"
    assert "host" not in status
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": second}})
    assert registries.workloads.get("tenant-a", "w").object()["status"]["host"]["name"] == "node-1"


async def test_a_plain_write_cannot_set_claim_ref(registries: Registries) -> None:
    host = await registries.add_host()

    def steal(obj: dict[str, Any]) -> dict[str, Any]:
        return {**obj, "spec": {**obj["spec"], "claimRef": {"namespace": "tenant-b", "name": "w", "uid": "u"}}}

    with pytest.raises(ApiError) as refused:
        await registries.hosts.update(CONTEXT, "", host, steal)
    assert refused.value.code == 422


async def test_a_claimed_host_cannot_be_forgotten(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    with pytest.raises(ApiError) as refused:
        await registries.hosts.delete(CONTEXT, "", host, DeleteOptions())
    assert refused.value.code == 409
    assert "tenant-a/node-0" in refused.value.message


async def test_forgetting_a_free_host_withdraws_its_offers(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.hosts.delete(CONTEXT, "", host, DeleteOptions())
    assert not registries.views.collection.range()


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"online": True}, "spec.consumerRef"),
        ({"consumerRef": CONSUMER, "bootMACAddress": "00:00:00:00:00:01"}, "spec.bootMACAddress"),
        ({"consumerRef": CONSUMER, "bmc": {"address": "ipmi://1.2.3.4", "credentialsName": "x"}}, "spec.bmc"),
        ({"consumerRef": CONSUMER, "userData": {"name": "s", "namespace": "metal3"}}, "spec.userData.namespace"),
    ],
)
async def test_what_a_tenant_may_not_write_is_refused_by_field(registries: Registries, spec: dict[str, Any], field: str) -> None:
    await registries.add_host()
    with pytest.raises(ApiError) as refused:
        await registries.patch_view("tenant-a", "node-0", **spec)
    assert refused.value.code == 422
    assert [c["field"] for c in refused.value.details["causes"]] == [field]
    assert len(registries.workloads.collection) == 0


async def test_a_dry_run_claims_nothing(registries: Registries) -> None:
    await registries.add_host()
    view = await registries.patch_view("tenant-a", "node-0", Context(UserInfo("x"), dry_run=True), consumerRef=CONSUMER)
    assert view["spec"]["consumerRef"] == CONSUMER
    assert len(registries.workloads.collection) == 0
    assert registries.view("tenant-b", "node-0") is not None


async def test_status_host_is_the_bindings_alone(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}})
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda w: {**w, "status": {"phase": "Running"}}, subresource="status")
    status = registries.workloads.get("tenant-a", "w").object()["status"]
    assert status["host"]["name"] == "node-0"
    assert status["phase"] == "Running"


async def test_what_chose_the_host_is_fixed_with_it(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}})
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    with pytest.raises(ApiError) as refused:
        await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda w: {**w, "spec": {**w["spec"], "requirements": {"cpuCount": 4}}})
    assert [c["field"] for c in refused.value.details["causes"]] == ["spec.requirements"]
