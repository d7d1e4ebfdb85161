"""Check that reclaimPolicy Retain is for Workloads of classes that allow it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apiserver.apis.status import ApiError
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONTEXT, Registries

ALLOWED = {"tenantMayRetain": True}


async def make_class(registries: Registries, name: str = "metal", *, default: bool = False, **spec: Any) -> None:
    annotations = {"workloadclass.workload.metal3.io/is-default-class": "true"} if default else {}
    metadata = {"name": name, "annotations": annotations}
    await registries.classes.create(CONTEXT, "", {"metadata": metadata, "spec": {"provisioner": "metal3.io/baremetalhost", **spec}})


async def make(registries: Registries, **spec: Any) -> None:
    await registries.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": spec})


async def change(registries: Registries, **spec: Any) -> None:
    await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda old: {**old, "spec": {**old["spec"], **spec}})


async def allow(registries: Registries, allowed: bool) -> None:
    reclaim = {"tenantMayRetain": allowed}
    await registries.classes.update(CONTEXT, "", "metal", lambda old: {**old, "spec": {**old["spec"], "reclaim": reclaim}})


def assert_refused(error: ApiError) -> None:
    answer = error.status()
    assert answer["code"] == 422
    assert [cause["field"] for cause in answer["details"]["causes"]] == ["spec.reclaimPolicy"]
    assert "reclaim.tenantMayRetain" in answer["message"]


@pytest.mark.parametrize("reclaim", [{}, {"reclaim": {}}, {"reclaim": {"tenantMayRetain": False}}])
async def test_retain_is_refused_where_the_class_does_not_allow_it(registries: Registries, reclaim: dict[str, Any]) -> None:
    await make_class(registries, **reclaim)
    with pytest.raises(ApiError) as caught:
        await make(registries, className="metal", reclaimPolicy="Retain")
    assert_refused(caught.value)
    await make(registries, className="metal")
    with pytest.raises(ApiError) as caught:
        await change(registries, reclaimPolicy="Retain")
    assert_refused(caught.value)


async def test_the_default_class_decides_where_none_is_named(registries: Registries) -> None:
    await make_class(registries, default=True)
    with pytest.raises(ApiError) as caught:
        await make(registries, reclaimPolicy="Retain")
    assert_refused(caught.value)


async def test_retain_is_accepted_where_the_class_allows_it_and_stays_accepted(registries: Registries) -> None:
    await make_class(registries, reclaim=ALLOWED)
    await make(registries, className="metal", reclaimPolicy="Retain")
    await allow(registries, False)
    await change(registries, online=False)
    assert registries.workloads.get("tenant-a", "w").object()["spec"]["reclaimPolicy"] == "Retain"
    await change(registries, reclaimPolicy="Delete")
    with pytest.raises(ApiError) as caught:
        await change(registries, reclaimPolicy="Retain")
    assert_refused(caught.value)


async def test_one_that_asks_for_it_is_bound_only_while_the_class_allows_it(registries: Registries) -> None:
    await make_class(registries, reclaim=ALLOWED)
    host = await registries.add_host()
    await make(registries, className="metal", reclaimPolicy="Retain")
    await allow(registries, False)
    with pytest.raises(ApiError) as caught:
        await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert_refused(caught.value)
    assert "claimRef" not in registries.hosts.get("", host).object()["spec"]
    await allow(registries, True)
    await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert registries.hosts.get("", host).object()["spec"]["claimRef"]["name"] == "w"


async def test_a_class_that_comes_later_is_asked_at_the_binding(registries: Registries) -> None:
    await make(registries, className="metal", reclaimPolicy="Retain")
    await make_class(registries)
    host = await registries.add_host()
    with pytest.raises(ApiError) as caught:
        await registries.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert_refused(caught.value)


async def test_what_an_earlier_version_stored_can_be_written_and_deleted(registries: Registries) -> None:
    await make_class(registries)
    await make(registries, className="metal")
    entry = registries.workloads.get("tenant-a", "w")
    obj = entry.object()
    obj["spec"]["reclaimPolicy"] = "Retain"
    await registries.workloads.cache.commit([Put(entry.key, orjson.dumps(obj), expected=entry.revision)])
    await change(registries, online=False)
    await registries.workloads.update(CONTEXT, "tenant-a", "w", lambda old: {**old, "status": {"phase": "Pending"}}, subresource="status")
    assert registries.workloads.get("tenant-a", "w").object()["spec"]["reclaimPolicy"] == "Retain"
