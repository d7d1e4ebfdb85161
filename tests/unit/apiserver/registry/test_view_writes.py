"""Check that a write through the view is a write of the Workload: its validation, admission and
field management apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from apiserver.apis.status import ApiError, forbidden
from apiserver.registry.claims.claims import RELEASE_FINALIZER
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Bench

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


async def claimed(bench: Bench, context: Context = CONTEXT) -> dict[str, Any]:
    await bench.add_host()
    return await bench.patch_view("tenant-a", "node-0", context, consumerRef=CONSUMER, image=IMAGE, online=True)


def workload(bench: Bench) -> dict[str, Any]:
    return bench.workloads.get("tenant-a", "node-0").object()


BAD: list[dict[str, Any]] = [
    {"userData": {}},
    {"userData": {"namespace": "tenant-a"}},
    {"metaData": {}},
    {"networkData": {"name": ""}},
    {"metaData": {"name": "data", "namespace": "tenant-b"}},
    {"customDeploy": {"method": "install"}},
]


@pytest.mark.parametrize("bad", BAD)
async def test_what_a_workload_may_not_be_is_refused_through_the_view(bench: Bench, bad: dict[str, Any]) -> None:
    await claimed(bench)
    before = workload(bench)
    with pytest.raises(ApiError) as refused:
        await bench.patch_view("tenant-a", "node-0", **bad)
    assert refused.value.code == 422
    assert workload(bench) == before


async def test_a_change_through_the_view_asks_the_workloads_admission(bench: Bench) -> None:
    await claimed(bench)
    bench.workloads.admission = recorder = Recorder("UPDATE workloads")
    with pytest.raises(ApiError) as refused:
        await bench.patch_view("tenant-a", "node-0", image={**IMAGE, "url": "http://images.example/other.qcow2"})
    assert refused.value.code == 403
    assert recorder.asked == ["UPDATE workloads"]
    assert workload(bench)["spec"]["image"] == IMAGE


async def test_a_release_through_the_view_asks_whether_the_workload_may_be_deleted(bench: Bench) -> None:
    await claimed(bench)
    bench.workloads.admission = Recorder("DELETE workloads")
    with pytest.raises(ApiError):
        await bench.patch_view("tenant-a", "node-0", consumerRef=None)
    with pytest.raises(ApiError):
        await bench.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    assert "deletionTimestamp" not in workload(bench)["metadata"]


async def test_a_change_through_the_view_is_noted_in_the_workloads_fields_and_generation(bench: Bench) -> None:
    await claimed(bench)
    before = workload(bench)["metadata"]["generation"]
    editor = Context(UserInfo("somebody"), field_manager="kubectl-edit")
    await bench.patch_view("tenant-a", "node-0", editor, image={**IMAGE, "url": "http://images.example/other.qcow2"})
    metadata = workload(bench)["metadata"]
    assert metadata["generation"] == before + 1
    owned = next(fields for fields in metadata["managedFields"] if fields["manager"] == "kubectl-edit")
    assert "f:url" in owned["fieldsV1"]["f:spec"]["f:image"]


async def spoiled(bench: Bench) -> None:
    """Store a Workload as an earlier version did: with a secret that has no name, and a spec that
    its model refuses."""
    await claimed(bench)
    entry = bench.workloads.get("tenant-a", "node-0")
    obj = entry.object()
    obj["spec"] |= {"userData": {}, "customDeploy": {"method": "install"}}
    await bench.workloads.cache.commit([Put(entry.key, orjson.dumps(obj), expected=entry.revision)])


async def test_a_status_is_not_judged_by_the_rules_for_spec(bench: Bench) -> None:
    await spoiled(bench)
    status = {**workload(bench)["status"], "phase": "Deprovisioning"}
    await bench.workloads.update(CONTEXT, "tenant-a", "node-0", lambda old: {**old, "status": status}, subresource="status")
    assert workload(bench)["status"]["phase"] == "Deprovisioning"
    wrong = {**status, "phase": "Whatever"}
    with pytest.raises(ApiError) as refused:
        await bench.workloads.update(CONTEXT, "tenant-a", "node-0", lambda old: {**old, "status": wrong}, subresource="status")
    assert refused.value.code == 422


async def test_a_workload_that_was_stored_invalid_can_be_released_through_the_view(bench: Bench) -> None:
    await spoiled(bench)
    await bench.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    host = next(iter(bench.hosts.collection.range()))
    unclaim = {**host.object()["spec"], "claimRef": None}
    await bench.hosts.update(CONTEXT, "", host.name, lambda old: {**old, "spec": unclaim})

    def release(old: dict[str, Any]) -> dict[str, Any]:
        left = [one for one in old["metadata"]["finalizers"] if one != RELEASE_FINALIZER]
        return {**old, "metadata": {**old["metadata"], "finalizers": left}}

    await bench.workloads.update(CONTEXT, "tenant-a", "node-0", release)
    assert bench.workloads.find("tenant-a", "node-0") is None


async def test_a_consumer_gives_back_what_was_stored_invalid(bench: Bench) -> None:
    await claimed(bench)
    entry = bench.workloads.get("tenant-a", "node-0")
    obj = entry.object()
    obj["spec"]["metaData"] = {}
    await bench.workloads.cache.commit([Put(entry.key, orjson.dumps(obj), expected=entry.revision)])
    await bench.patch_view("tenant-a", "node-0", consumerRef=None)
    assert "deletionTimestamp" in workload(bench)["metadata"]
