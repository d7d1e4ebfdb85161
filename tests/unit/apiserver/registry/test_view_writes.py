"""Check that a write through the view is a write of the Workload: its validation, admission and
field management apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.names import RELEASE_FINALIZER
from apiserver.apis.status import ApiError, forbidden
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Registries

if TYPE_CHECKING:
    from apiserver.registry.generic.attributes import Attributes


class Recorder:
    """Note each admission request, and refuse those that are given."""

    def __init__(self, *refused: str) -> None:
        self.asked: list[str] = []
        self.refused = refused

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        asked = f"{attributes.operation} {attributes.resource.plural}"
        self.asked.append(asked)
        if asked in self.refused:
            raise forbidden(attributes.resource.group, attributes.resource.plural, attributes.name, "the policy says no")
        return attributes.new


async def claimed(registries: Registries, context: Context = CONTEXT) -> dict[str, Any]:
    await registries.add_host()
    return await registries.patch_view("tenant-a", "node-0", context, consumerRef=CONSUMER, image=IMAGE, online=True)


def workload(registries: Registries) -> dict[str, Any]:
    return registries.workloads.get("tenant-a", "node-0").object()


BAD: list[dict[str, Any]] = [
    {"userData": {}},
    {"userData": {"namespace": "tenant-a"}},
    {"metaData": {}},
    {"networkData": {"name": ""}},
    {"metaData": {"name": "data", "namespace": "tenant-b"}},
    {"customDeploy": {"method": "install"}},
]


@pytest.mark.parametrize("bad", BAD)
async def test_what_a_workload_may_not_be_is_refused_through_the_view(registries: Registries, bad: dict[str, Any]) -> None:
    await claimed(registries)
    before = workload(registries)
    with pytest.raises(ApiError) as refused:
        await registries.patch_view("tenant-a", "node-0", **bad)
    assert refused.value.code == 422
    assert workload(registries) == before


async def test_a_change_through_the_view_asks_the_workloads_admission(registries: Registries) -> None:
    await claimed(registries)
    registries.workloads.admission = recorder = Recorder("UPDATE workloads")
    with pytest.raises(ApiError) as refused:
        await registries.patch_view("tenant-a", "node-0", image={**IMAGE, "url": "http://images.example/other.qcow2"})
    assert refused.value.code == 403
    assert recorder.asked == ["UPDATE workloads"]
    assert workload(registries)["spec"]["image"] == IMAGE


async def test_a_release_through_the_view_asks_whether_the_workload_may_be_deleted(registries: Registries) -> None:
    await claimed(registries)
    registries.workloads.admission = Recorder("DELETE workloads")
    with pytest.raises(ApiError):
        await registries.patch_view("tenant-a", "node-0", consumerRef=None)
    with pytest.raises(ApiError):
        await registries.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    assert "deletionTimestamp" not in workload(registries)["metadata"]


async def test_a_change_through_the_view_is_noted_in_the_workloads_fields_and_generation(registries: Registries) -> None:
    await claimed(registries)
    before = workload(registries)["metadata"]["generation"]
    editor = Context(UserInfo("somebody"), field_manager="kubectl-edit")
    await registries.patch_view("tenant-a", "node-0", editor, image={**IMAGE, "url": "http://images.example/other.qcow2"})
    metadata = workload(registries)["metadata"]
    assert metadata["generation"] == before + 1
    owned = next(fields for fields in metadata["managedFields"] if fields["manager"] == "kubectl-edit")
    assert "f:url" in owned["fieldsV1"]["f:spec"]["f:image"]


async def spoiled(registries: Registries) -> None:
    """Store a Workload as an earlier version did: with a secret that has no name, and a spec that
    its model refuses."""
    await claimed(registries)
    entry = registries.workloads.get("tenant-a", "node-0")
    obj = entry.object()
    obj["spec"] |= {"userData": {}, "customDeploy": {"method": "install"}}
    await registries.workloads.cache.commit([Put(entry.key, orjson.dumps(obj), expected=entry.revision)])


async def test_a_status_is_not_judged_by_the_rules_for_spec(registries: Registries) -> None:
    await spoiled(registries)
    status = {**workload(registries)["status"], "phase": "Deprovisioning"}
    await registries.workloads.update(CONTEXT, "tenant-a", "node-0", lambda old: {**old, "status": status}, subresource="status")
    assert workload(registries)["status"]["phase"] == "Deprovisioning"
    wrong = {**status, "phase": "Whatever"}
    with pytest.raises(ApiError) as refused:
        await registries.workloads.update(CONTEXT, "tenant-a", "node-0", lambda old: {**old, "status": wrong}, subresource="status")
    assert refused.value.code == 422


async def test_a_workload_that_was_stored_invalid_can_be_released_through_the_view(registries: Registries) -> None:
    await spoiled(registries)
    await registries.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    host = next(iter(registries.hosts.collection.range()))
    unclaim = {**host.object()["spec"], "claimRef": None}
    await registries.hosts.update(CONTEXT, "", host.name, lambda old: {**old, "spec": unclaim})

    def release(old: dict[str, Any]) -> dict[str, Any]:
        left = [one for one in old["metadata"]["finalizers"] if one != RELEASE_FINALIZER]
        return {**old, "metadata": {**old["metadata"], "finalizers": left}}

    await registries.workloads.update(CONTEXT, "tenant-a", "node-0", release)
    assert registries.workloads.find("tenant-a", "node-0") is None


async def test_a_consumer_gives_back_what_was_stored_invalid(registries: Registries) -> None:
    await claimed(registries)
    entry = registries.workloads.get("tenant-a", "node-0")
    obj = entry.object()
    obj["spec"]["metaData"] = {}
    await registries.workloads.cache.commit([Put(entry.key, orjson.dumps(obj), expected=entry.revision)])
    await registries.patch_view("tenant-a", "node-0", consumerRef=None)
    assert "deletionTimestamp" in workload(registries)["metadata"]
