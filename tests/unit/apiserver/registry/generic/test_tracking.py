"""Cover managedFields on every write, and server-side apply through the registry: on plain kinds
and on views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, IMAGE, Registries

if TYPE_CHECKING:
    from apiserver.registry.generic.attributes import Attributes

VERSION = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload"}
VIEW = {"apiVersion": "metal3.io/v1alpha1", "kind": "BareMetalHost"}


def by(manager: str) -> Context:
    return Context(UserInfo("somebody"), field_manager=manager)


def owners(obj: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    return {(e["manager"], e["operation"], e.get("subresource", "")): e["fieldsV1"] for e in obj["metadata"].get("managedFields", [])}


def workload(name: str = "w", **spec: Any) -> dict[str, Any]:
    return {**VERSION, "metadata": {"name": name}, "spec": spec}


async def test_each_writer_owns_what_it_wrote(registries: Registries) -> None:
    await registries.workloads.create(by("creator"), "ns", workload(online=True))
    await registries.workloads.update(by("updater"), "ns", "w", lambda old: {**old, "spec": {**old["spec"], "online": False}})
    status = {"phase": "Pending", "poweredOn": True}
    await registries.workloads.update(by("controller"), "ns", "w", lambda old: {**old, "status": status}, subresource="status")
    found = owners(registries.workloads.get("ns", "w").object())
    assert found[("updater", "Update", "")] == {"f:spec": {"f:online": {}}}
    assert found[("controller", "Update", "status")] == {"f:status": {"f:poweredOn": {}}}
    assert "f:online" not in found[("creator", "Update", "")]["f:spec"]


async def test_apply_creates_owns_removes_and_is_idempotent(registries: Registries) -> None:
    entry, created = await registries.workloads.apply(by("gitops"), "ns", "w", workload(image=IMAGE, failureDomain="a"), force=False)
    assert created
    again, created = await registries.workloads.apply(by("gitops"), "ns", "w", workload(image=IMAGE, failureDomain="a"), force=False)
    assert not created
    assert again.revision == entry.revision
    less, _ = await registries.workloads.apply(by("gitops"), "ns", "w", workload(image=IMAGE), force=False)
    assert "failureDomain" not in less.object()["spec"]
    assert ("gitops", "Apply", "") in owners(less.object())


class Choosing:
    """Choose a failure domain as admission, and record the spec fields of each entry in
    managedFields."""

    def __init__(self) -> None:
        self.reported = list[Any]()

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        new = attributes.new or {}
        self.reported.append([entry["fieldsV1"].get("f:spec") for entry in new["metadata"].get("managedFields", [])])
        return {**new, "spec": {**new["spec"], "failureDomain": "chosen"}}


async def test_fields_that_admission_changes_have_no_manager_and_webhooks_see_the_managers(registries: Registries) -> None:
    registries.workloads.admission = admission = Choosing()
    made = await registries.workloads.create(by("creator"), "ns", workload(online=True))
    assert made.object()["spec"]["failureDomain"] == "chosen"
    assert [("f:online" in fields, "f:failureDomain" in fields) for fields in admission.reported[0]] == [(True, False)]
    merged = await registries.workloads.update(by("updater"), "ns", "w", lambda old: {**old, "spec": {**old["spec"], "online": False}})
    changed, _ = await registries.workloads.apply(by("applier"), "ns", "w", workload(image=IMAGE), force=False)
    for entry in (made, merged, changed):
        assert not [who for who, fields in owners(entry.object()).items() if "f:failureDomain" in fields.get("f:spec", {})]
    applied, _ = await registries.workloads.apply(by("applier"), "ns", "w", workload(image=IMAGE, failureDomain="chosen"), force=False)
    assert "f:failureDomain" in owners(applied.object())[("applier", "Apply", "")]["f:spec"], "there is nobody to conflict with"


async def test_conflicting_appliers_learn_of_each_other(registries: Registries) -> None:
    await registries.workloads.apply(by("one"), "ns", "w", workload(failureDomain="a"), force=False)
    with pytest.raises(ApiError) as refused:
        await registries.workloads.apply(by("two"), "ns", "w", workload(failureDomain="b"), force=False)
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert refused.value.details["causes"][0]["field"] == ".spec.failureDomain"
    forced, _ = await registries.workloads.apply(by("two"), "ns", "w", workload(failureDomain="b"), force=True)
    assert forced.object()["spec"]["failureDomain"] == "b"
    assert ("one", "Apply", "") not in owners(forced.object())


async def test_a_host_is_claimed_by_apply_and_the_fields_are_the_claimers(registries: Registries) -> None:
    host = await registries.add_host()
    wanted = {**VIEW, "metadata": {"name": "node-0"}, "spec": {"consumerRef": CONSUMER, "image": IMAGE, "online": True}}
    entry, created = await registries.views.apply(by("gitops"), "tenant-a", "node-0", wanted, force=True)
    assert not created
    assert registries.hosts.get("", host).object()["spec"]["claimRef"]["name"] == "node-0"
    assert "f:consumerRef" in owners(entry.object())[("gitops", "Apply", "")]["f:spec"]
    assert ("metal3-workloads", "Update", "") in owners(entry.object())


async def test_a_view_is_not_created_by_apply(registries: Registries) -> None:
    wanted = {**VIEW, "metadata": {"name": "nowhere"}, "spec": {"consumerRef": CONSUMER, "online": True}}
    with pytest.raises(ApiError) as refused:
        await registries.views.apply(by("gitops"), "tenant-a", "nowhere", wanted, force=True)
    assert refused.value.code == 404


async def test_the_servers_own_changes_of_a_view_are_its_own(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.patch_view("tenant-a", "node-0", by("capm3"), consumerRef=CONSUMER)
    await registries.report(
        host, {"available": False, "report": {**registries.hosts.get("", host).object()["status"]["report"], "labels": {"rack": "r9"}}}
    )
    found = owners(registries.views.get("tenant-a", "node-0").object())
    assert "f:rack" in found[("metal3-workloads", "Update", "")]["f:metadata"]["f:labels"]
    assert "f:consumerRef" in found[("capm3", "Update", "")]["f:spec"]
