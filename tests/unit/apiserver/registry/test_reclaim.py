"""Check that reclaimPolicy Retain is for Workloads of classes that allow it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from apiserver.apis.status import ApiError
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONTEXT, Bench

ALLOWED = {"tenantMayRetain": True}


async def make_class(bench: Bench, name: str = "metal", *, default: bool = False, **spec: Any) -> None:
    annotations = {"workloadclass.workload.metal3.io/is-default-class": "true"} if default else {}
    metadata = {"name": name, "annotations": annotations}
    await bench.classes.create(CONTEXT, "", {"metadata": metadata, "spec": {"provisioner": "metal3.io/baremetalhost", **spec}})


async def make(bench: Bench, **spec: Any) -> None:
    await bench.workloads.create(CONTEXT, "tenant-a", {"metadata": {"name": "w"}, "spec": spec})


async def change(bench: Bench, **spec: Any) -> None:
    await bench.workloads.update(CONTEXT, "tenant-a", "w", lambda old: {**old, "spec": {**old["spec"], **spec}})


async def allow(bench: Bench, allowed: bool) -> None:
    reclaim = {"tenantMayRetain": allowed}
    await bench.classes.update(CONTEXT, "", "metal", lambda old: {**old, "spec": {**old["spec"], "reclaim": reclaim}})


def assert_refused(error: ApiError) -> None:
    answer = error.status()
    assert answer["code"] == 422
    assert [cause["field"] for cause in answer["details"]["causes"]] == ["spec.reclaimPolicy"]
    assert "reclaim.tenantMayRetain" in answer["message"]


@pytest.mark.parametrize("reclaim", [{}, {"reclaim": {}}, {"reclaim": {"tenantMayRetain": False}}])
async def test_retain_is_refused_where_the_class_does_not_allow_it(bench: Bench, reclaim: dict[str, Any]) -> None:
    await make_class(bench, **reclaim)
    with pytest.raises(ApiError) as caught:
        await make(bench, className="metal", reclaimPolicy="Retain")
    assert_refused(caught.value)
    await make(bench, className="metal")
    with pytest.raises(ApiError) as caught:
        await change(bench, reclaimPolicy="Retain")
    assert_refused(caught.value)


async def test_the_default_class_decides_where_none_is_named(bench: Bench) -> None:
    await make_class(bench, default=True)
    with pytest.raises(ApiError) as caught:
        await make(bench, reclaimPolicy="Retain")
    assert_refused(caught.value)


async def test_retain_is_accepted_where_the_class_allows_it_and_stays_accepted(bench: Bench) -> None:
    await make_class(bench, reclaim=ALLOWED)
    await make(bench, className="metal", reclaimPolicy="Retain")
    await allow(bench, False)
    await change(bench, online=False)
    assert bench.workloads.get("tenant-a", "w").object()["spec"]["reclaimPolicy"] == "Retain"
    await change(bench, reclaimPolicy="Delete")
    with pytest.raises(ApiError) as caught:
        await change(bench, reclaimPolicy="Retain")
    assert_refused(caught.value)


async def test_one_that_asks_for_it_is_bound_only_while_the_class_allows_it(bench: Bench) -> None:
    await make_class(bench, reclaim=ALLOWED)
    host = await bench.add_host()
    await make(bench, className="metal", reclaimPolicy="Retain")
    await allow(bench, False)
    with pytest.raises(ApiError) as caught:
        await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert_refused(caught.value)
    assert "claimRef" not in bench.hosts.get("", host).object()["spec"]
    await allow(bench, True)
    await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert bench.hosts.get("", host).object()["spec"]["claimRef"]["name"] == "w"


async def test_a_class_that_comes_later_is_asked_at_the_binding(bench: Bench) -> None:
    await make(bench, className="metal", reclaimPolicy="Retain")
    await make_class(bench)
    host = await bench.add_host()
    with pytest.raises(ApiError) as caught:
        await bench.workloads.connect(CONTEXT, "tenant-a", "w", "binding", {"target": {"name": host}})
    assert_refused(caught.value)


async def test_what_an_earlier_version_stored_can_be_written_and_deleted(bench: Bench) -> None:
    await make_class(bench)
    await make(bench, className="metal")
    entry = bench.workloads.get("tenant-a", "w")
    obj = entry.object()
    obj["spec"]["reclaimPolicy"] = "Retain"
    await bench.workloads.cache.commit([Put(entry.key, orjson.dumps(obj), expected=entry.revision)])
    await change(bench, online=False)
    await bench.workloads.update(CONTEXT, "tenant-a", "w", lambda old: {**old, "status": {"phase": "Pending"}}, subresource="status")
    assert bench.workloads.get("tenant-a", "w").object()["spec"]["reclaimPolicy"] == "Retain"
