"""Run the generic registry on WorkloadClasses and Workloads: metadata, optimistic writes,
finalizers, validation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from apiserver.registry.generic.registry import ATTEMPTS
from storage.base import Conflict
from tests.unit.apiserver.registry.conftest import CONTEXT, IMAGE, Registries

CLASS = {"metadata": {"name": "metal"}, "spec": {"provisioner": "metal3.io/baremetalhost"}}


def named(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


async def test_create_sets_what_is_the_systems(registries: Registries) -> None:
    mine = {"metadata": {"name": "w", "uid": "mine", "generation": 7, "deletionTimestamp": "2020-01-01T00:00:00Z", "finalizers": ["a/b"]}}
    obj = (await registries.workloads.create(CONTEXT, "ns", {**mine, "status": {"phase": "Running"}, "unknown": 1})).object()
    meta = obj["metadata"]
    assert meta["namespace"] == "ns"
    assert meta["uid"] != "mine"
    assert meta["generation"] == 1
    assert meta["finalizers"] == ["a/b"]
    assert "deletionTimestamp" not in meta
    assert obj["spec"] == {"online": True, "reclaimPolicy": "Delete", "updatePolicy": "OnDelete"}
    assert obj["status"] == {"phase": "Pending", "observedGeneration": 0}
    assert "unknown" not in obj
    assert (obj["apiVersion"], obj["kind"]) == ("workload.metal3.io/v1alpha1", "Workload")
    assert meta["resourceVersion"] == str(registries.workloads.get("ns", "w").revision)


async def test_generated_names_are_drawn(registries: Registries) -> None:
    names = {(await registries.workloads.create(CONTEXT, "ns", {"metadata": {"generateName": "w-"}})).name for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("w-") and len(name) == 7 for name in names)


async def test_a_taken_name_is_409_and_a_missing_one_404(registries: Registries) -> None:
    await registries.workloads.create(CONTEXT, "ns", named("w"))
    with pytest.raises(ApiError) as taken:
        await registries.workloads.create(CONTEXT, "ns", named("w"))
    assert (taken.value.code, taken.value.reason) == (409, "AlreadyExists")
    with pytest.raises(ApiError) as missing:
        registries.workloads.get("other", "w")
    assert missing.value.message == 'workloads.workload.metal3.io "w" not found'


@pytest.mark.parametrize(
    ("obj", "fields"),
    [
        ({"metadata": {}}, ["metadata.name"]),
        ({"metadata": {"name": "Bad_Name"}}, ["metadata.name"]),
        ({"metadata": {"name": "w", "labels": {"a b": "x", "ok": "y y"}}}, ["metadata.labels", "metadata.labels"]),
        (named("w", online="yes"), ["spec.online"]),
        (named("w", image={}), ["spec.image.url"]),
        (named("w", requirements={"ram": "64Gix", "cpuCount": 0}), ["spec.requirements.cpuCount", "spec.requirements.ram"]),
        (named("w", image=IMAGE, customDeploy={"method": "x"}), ["spec"]),
        (named("w", userData={"name": "s", "namespace": "other"}), ["spec.userData.namespace"]),
        (
            named("w", hostSelector={"matchExpressions": [{"key": "a", "operator": "Is"}]}),
            ["spec.hostSelector.matchExpressions[0].operator"],
        ),
    ],
)
async def test_invalid_objects_name_the_fields(registries: Registries, obj: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(ApiError) as refused:
        await registries.workloads.create(CONTEXT, "ns", obj)
    assert refused.value.code == 422
    assert sorted(c["field"] for c in refused.value.details["causes"]) == fields


async def test_generation_counts_spec_changes_only(registries: Registries) -> None:
    await registries.classes.create(CONTEXT, "", CLASS)

    async def write(subresource: str = "", **fields: Any) -> dict[str, Any]:
        return (await registries.classes.update(CONTEXT, "", "metal", lambda old: {**old, **fields}, subresource=subresource)).object()

    assert (await write(spec={"provisioner": "other"}))["metadata"]["generation"] == 2
    status = await write("status", status={"hosts": {"total": 3}}, spec={"provisioner": "ignored"})
    assert status["metadata"]["generation"] == 2
    assert status["spec"]["provisioner"] == "other"
    kept = await write(status={"hosts": {"total": 9}})
    assert kept["status"]["hosts"]["total"] == 3


async def test_writing_the_same_changes_nothing(registries: Registries) -> None:
    before = await registries.workloads.create(CONTEXT, "ns", named("w"))
    assert (await registries.workloads.update(CONTEXT, "ns", "w", lambda old: old)).revision == before.revision


async def test_concurrent_patches_all_get_through(registries: Registries) -> None:
    await registries.workloads.create(CONTEXT, "ns", named("w"))

    def label(key: str) -> Any:
        return lambda obj: {**obj, "metadata": {**obj["metadata"], "labels": {**(obj["metadata"].get("labels") or {}), key: "x"}}}

    await asyncio.gather(*(registries.workloads.update(CONTEXT, "ns", "w", label(f"k{i}")) for i in range(20)))
    assert set(registries.workloads.get("ns", "w").labels) == {f"k{i}" for i in range(20)}


async def test_a_named_resource_version_must_match(registries: Registries) -> None:
    first = (await registries.workloads.create(CONTEXT, "ns", named("w"))).object()
    await registries.workloads.update(CONTEXT, "ns", "w", lambda old: {**old, "spec": {**old["spec"], "online": False}})
    with pytest.raises(ApiError) as stale:
        await registries.workloads.update(CONTEXT, "ns", "w", lambda old: first)
    assert (stale.value.code, stale.value.reason) == (409, "Conflict")
    with pytest.raises(ApiError) as without:
        await registries.workloads.update(CONTEXT, "ns", "w", lambda old: named("w"))
    assert without.value.code == 422
    assert without.value.details["causes"][0]["field"] == "metadata.resourceVersion"


async def test_finalizers_hold_a_deleted_object(registries: Registries) -> None:
    await registries.workloads.create(CONTEXT, "ns", {"metadata": {"name": "w", "finalizers": ["a/b", "c/d"]}})
    entry, gone = await registries.workloads.delete(CONTEXT, "ns", "w", DeleteOptions())
    assert not gone
    assert entry.object()["metadata"]["deletionGracePeriodSeconds"] == 0
    again, _ = await registries.workloads.delete(CONTEXT, "ns", "w", DeleteOptions())
    assert again.revision == entry.revision

    def finalizers(*items: str) -> Any:
        return lambda old: {**old, "metadata": {**old["metadata"], "finalizers": list(items)}}

    with pytest.raises(ApiError) as added:
        await registries.workloads.update(CONTEXT, "ns", "w", finalizers("a/b", "c/d", "e/f"))
    assert added.value.code == 422
    await registries.workloads.update(CONTEXT, "ns", "w", finalizers("c/d"))
    await registries.workloads.update(CONTEXT, "ns", "w", finalizers())
    assert registries.workloads.find("ns", "w") is None


async def test_preconditions_guard_a_deletion(registries: Registries) -> None:
    created = await registries.workloads.create(CONTEXT, "ns", named("w"))
    for options in (DeleteOptions(uid="other"), DeleteOptions(resource_version="1")):
        with pytest.raises(ApiError) as refused:
            await registries.workloads.delete(CONTEXT, "ns", "w", options)
        assert refused.value.code == 409
    uid = created.object()["metadata"]["uid"]
    assert (await registries.workloads.delete(CONTEXT, "ns", "w", DeleteOptions(uid=uid)))[1]


async def test_dry_runs_store_nothing(registries: Registries) -> None:
    dry = Context(UserInfo("x"), dry_run=True)
    assert (await registries.workloads.create(dry, "ns", named("w"))).name == "w"
    assert registries.workloads.find("ns", "w") is None
    await registries.workloads.create(CONTEXT, "ns", named("w"))
    await registries.workloads.delete(dry, "ns", "w", DeleteOptions())
    assert registries.workloads.find("ns", "w") is not None


async def test_the_newest_default_class_is_filled_in(registries: Registries) -> None:
    annotation = {"workloadclass.workload.metal3.io/is-default-class": "true"}
    await registries.classes.create(CONTEXT, "", {**CLASS, "metadata": {"name": "metal", "annotations": annotation}})
    await registries.workloads.create(CONTEXT, "ns", named("w"))
    await registries.workloads.create(CONTEXT, "ns", named("v", className="other"))
    assert registries.workloads.get("ns", "w").object()["spec"]["className"] == "metal"
    assert registries.workloads.get("ns", "v").object()["spec"]["className"] == "other"


async def test_objects_survive_a_restart(registries: Registries) -> None:
    created = await registries.workloads.create(CONTEXT, "ns", named("w"))
    stored = await registries.catalog.workloads.cache.get(created.key)
    assert stored is not None
    assert registries.workloads.decode(created.key, stored.value, stored.revision).json == created.json


@pytest.mark.parametrize("lost", [0, 2, ATTEMPTS - 1])
async def test_a_write_that_loses_races_starts_over(registries: Registries, lost: int) -> None:
    tried: list[int] = []

    async def attempt() -> str:
        tried.append(len(tried))
        if len(tried) <= lost:
            raise Conflict("/key", 1, 2)
        return "done"

    assert await registries.workloads.retrying("w", attempt) == "done"
    assert len(tried) == lost + 1


async def test_a_write_that_loses_every_race_is_to_be_tried_again(registries: Registries) -> None:
    tried: list[int] = []

    async def attempt() -> None:
        tried.append(len(tried))
        raise Conflict("/key", 1, 2)

    with pytest.raises(ApiError) as refused:
        await registries.workloads.retrying("w", attempt)
    assert (refused.value.code, refused.value.reason) == (503, "ServiceUnavailable")
    assert 'workloads "w"' in refused.value.message
    assert len(tried) == ATTEMPTS
