"""Check that an object stays small enough to be stored, whatever writes it. However large a tenant
makes it, it can be released."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from apiserver.registry.generic.entry import encode_stored
from apiserver.registry.generic.sizelimits import MANAGERS, RESERVED, SIZE, TOGETHER
from storage.base import Put
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, Registries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storage.base import Operation

ETCD = 1_572_864
"""The bytes that etcd accepts in one request (--max-request-bytes)."""


@pytest.fixture(autouse=True)
def largest(registries: Registries, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that collects the bytes of each commit. None is larger than etcd accepts."""
    sizes: list[int] = []
    commit = registries.workloads.cache.commit

    async def measured(operations: Sequence[Operation]) -> int:
        sizes.append(sum(len(one.value) + len(one.key) for one in operations if isinstance(one, Put)))
        assert sizes[-1] < ETCD
        return await commit(operations)

    monkeypatch.setattr(registries.workloads.cache, "commit", measured)
    return sizes


def selector(size: int) -> dict[str, Any]:
    """Return a host selector of about this many bytes that any host fits."""
    values = [f"{number:0250}" for number in range(max(1, size // (253 * 60)))]
    return {"matchExpressions": [{"key": f"k{number}", "operator": "NotIn", "values": values} for number in range(60)]}


def workload(name: str, size: int) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"className": "metal", "image": IMAGE, "hostSelector": selector(size)}}


def note(size: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a change that writes annotations, which are limited to 256 KiB in all, and labels."""
    annotations = {f"n{number}": "x" * 50_000 for number in range(size // 50_000)}
    labels = {f"l{number}": f"{number:063}" for number in range(500)} if size >= 250_000 else {}
    return lambda obj: {**obj, "metadata": {**obj["metadata"], "annotations": annotations, "labels": labels}}


def annotated(annotations: dict[str, str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda obj: {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


async def bind(registries: Registries, name: str, host: str) -> None:
    await registries.workloads.connect(CONTEXT, "tenant-a", name, "binding", {"target": {"name": host}})


def condition(size: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(obj: dict[str, Any]) -> dict[str, Any]:
        reported = [
            {"type": f"T{n}", "status": "True", "reason": "R", "message": "m" * 30_000, "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for n in range(size // 30_000)
        ]
        return {**obj, "status": {**obj["status"], "conditions": reported}}

    return change


async def release(registries: Registries, name: str, host: str) -> None:
    """Release a host as controllers do: mark, report, clear the claim, and remove the
    finalizers."""
    await registries.workloads.update(CONTEXT, "tenant-a", name, condition(30_000), subresource="status")
    await registries.report(host, {"provisioning": {"state": "deprovisioning"}})
    await registries.hosts.update(CONTEXT, "", host, lambda obj: {**obj, "spec": {**obj["spec"], "claimRef": None}})
    await registries.workloads.update(
        CONTEXT, "tenant-a", name, lambda obj: {**obj, "metadata": {**obj["metadata"], "finalizers": []}, "spec": obj["spec"]}
    )
    assert registries.workloads.find("tenant-a", name) is None


async def test_a_workload_as_large_as_may_be_is_bound_reported_on_and_released(registries: Registries, largest: list[int]) -> None:
    host = await registries.add_host()
    entry = await registries.workloads.create(CONTEXT, "tenant-a", workload("large", 960_000))
    entry = await registries.workloads.update(CONTEXT, "tenant-a", "large", note(50_000))
    assert 1_000_000 < len(entry.json) <= SIZE
    await bind(registries, "large", host)
    entry = await registries.workloads.update(CONTEXT, "tenant-a", "large", condition(90_000), subresource="status")
    assert len(entry.json) > SIZE
    await registries.report(host, {"provisioning": {"state": "provisioned"}})
    await registries.workloads.delete(CONTEXT, "tenant-a", "large", DeleteOptions())
    await release(registries, "large", host)
    assert max(largest) > SIZE


async def test_statuses_have_their_bound_too(registries: Registries) -> None:
    await registries.workloads.create(CONTEXT, "tenant-a", workload("small", 1))
    with pytest.raises(ApiError) as refused:
        await registries.workloads.update(CONTEXT, "tenant-a", "small", condition(SIZE + RESERVED + 60_000), subresource="status")
    assert refused.value.code == 413


async def test_what_a_tenant_has_of_one_host_fits_into_one_commit(registries: Registries) -> None:
    """Grow the Workload and the view separately; they are deleted together."""
    host = await registries.add_host()
    await registries.workloads.create(CONTEXT, "tenant-a", workload("large", 960_000))
    await bind(registries, "large", host)
    grown = 0
    with pytest.raises(ApiError, match="change together"):  # noqa: PT012 - some of them are taken
        for change in (note(100_000), note(150_000), note(200_000), note(250_000)):
            await registries.views.update(CONTEXT, "tenant-a", "node-0", change)
            grown += 1
    assert 0 < grown < 4
    view, held = registries.views.get("tenant-a", "node-0"), registries.workloads.get("tenant-a", "large")
    assert len(view.json) + len(held.json) + len(registries.hosts.get("", host).json) < TOGETHER
    with pytest.raises(ApiError, match="change together"):
        await registries.workloads.update(CONTEXT, "tenant-a", "large", note(80_000))
    await registries.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    await release(registries, "large", host)


async def test_the_owner_may_change_a_host_whose_tenant_has_left_no_room(registries: Registries) -> None:
    host = await registries.add_host()
    await registries.workloads.create(CONTEXT, "tenant-a", workload("large", 960_000))
    await bind(registries, "large", host)
    filled = 0
    for step in (2**exponent for exponent in range(17, -1, -1)):
        with suppress(ApiError):
            await registries.views.update(CONTEXT, "tenant-a", "node-0", annotated({"fill": "x" * (filled + step)}))
            filled += step
    objects = registries.views.get("tenant-a", "node-0"), registries.workloads.get("tenant-a", "large"), registries.hosts.get("", host)
    assert sum(len(one.json) for one in objects) >= TOGETHER
    await registries.hosts.update(CONTEXT, "", host, lambda obj: {**obj, "spec": {**obj["spec"], "unschedulable": True}})
    assert registries.hosts.get("", host).object()["spec"]["unschedulable"]
    await registries.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    await release(registries, "large", host)


async def test_a_claim_through_the_view_is_bounded(registries: Registries) -> None:
    host = await registries.add_host()
    with pytest.raises(ApiError, match="Too long") as refused:
        await registries.patch_view("tenant-a", "node-0", consumerRef={**CONSUMER, "name": "x" * SIZE}, image=IMAGE, online=True)
    assert refused.value.code == 422
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER, image=IMAGE, online=True)
    await registries.views.update(CONTEXT, "tenant-a", "node-0", note(250_000))
    await registries.workloads.update(CONTEXT, "tenant-a", "node-0", note(250_000))
    objects = registries.views.get("tenant-a", "node-0"), registries.workloads.get("tenant-a", "node-0"), registries.hosts.get("", host)
    assert sum(len(one.json) for one in objects) < TOGETHER
    await registries.views.delete(CONTEXT, "tenant-a", "node-0", DeleteOptions())
    await release(registries, "node-0", host)


async def test_what_an_earlier_version_stored_may_become_less_and_be_deleted(registries: Registries) -> None:
    host = await registries.add_host()
    entry = await registries.workloads.create(CONTEXT, "tenant-a", workload("old", 960_000))
    stored = note(250_000)(entry.object())
    del stored["metadata"]["resourceVersion"]
    stored["metadata"]["finalizers"] = ["example.com/f"]
    value = encode_stored(registries.workloads.resource, stored)
    assert len(value) > SIZE + RESERVED
    await registries.workloads.cache.commit([Put(entry.key, value, entry.revision)])
    with pytest.raises(ApiError) as refused:
        await registries.workloads.update(CONTEXT, "tenant-a", "old", condition(30_000), subresource="status")
    assert refused.value.code == 413
    with pytest.raises(ApiError) as refused:
        await bind(registries, "old", host)
    assert refused.value.code == 413
    await registries.workloads.update(CONTEXT, "tenant-a", "old", note(200_000))
    await registries.workloads.delete(CONTEXT, "tenant-a", "old", DeleteOptions())
    await registries.workloads.update(CONTEXT, "tenant-a", "old", note(0))
    assert len(registries.workloads.get("tenant-a", "old").json) < SIZE


async def test_managers_are_counted(registries: Registries) -> None:
    def tenant(number: int) -> Context:
        return Context(UserInfo("tenant"), field_manager=f"m{number}")

    wanted = {
        "apiVersion": "workload.metal3.io/v1alpha1",
        "kind": "Workload",
        "metadata": {"name": "shared"},
        "spec": {"className": "metal"},
    }
    for number in range(MANAGERS):
        await registries.workloads.apply(tenant(number), "tenant-a", "shared", wanted, force=True)
    with pytest.raises(ApiError) as refused:
        await registries.workloads.apply(tenant(MANAGERS), "tenant-a", "shared", wanted, force=True)
    assert (refused.value.code, refused.value.details["causes"][0]["field"]) == (422, "metadata.managedFields")
    await registries.workloads.apply(tenant(3), "tenant-a", "shared", wanted, force=True)
    assert len(registries.workloads.get("tenant-a", "shared").object()["metadata"]["managedFields"]) == MANAGERS
    controllers = Context(UserInfo("controllers"), field_manager="metal3-workloads-controllers")
    releasing = {"phase": "Deprovisioning"}
    await registries.workloads.update(controllers, "tenant-a", "shared", lambda old: {**old, "status": releasing}, subresource="status")
    await registries.workloads.delete(CONTEXT, "tenant-a", "shared", DeleteOptions())


@pytest.mark.parametrize("resources", [{f"example.com/r{number}": "1" for number in range(65)}, {"r" * 318: "1"}])
async def test_requirements_are_counted(registries: Registries, resources: dict[str, str]) -> None:
    body = {"metadata": {"name": "many"}, "spec": {"className": "metal", "requirements": {"resources": resources}}}
    with pytest.raises(ApiError) as refused:
        await registries.workloads.create(CONTEXT, "tenant-a", body)
    assert (refused.value.code, refused.value.details["causes"][0]["field"].startswith("spec.requirements.resources")) == (422, True)
