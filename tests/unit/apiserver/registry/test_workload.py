"""Check that the class of a Workload may change until a host is bound. A binding that was decided
before the change is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE

if TYPE_CHECKING:
    from tests.unit.apiserver.registry.conftest import Bench

NAMESPACE = "tenant-a"


async def create(bench: Bench, **spec: Any) -> dict[str, Any]:
    made = await bench.workloads.create(CONTEXT, NAMESPACE, {"metadata": {"name": "w"}, "spec": {"image": IMAGE, **spec}})
    return made.object()


async def change(bench: Bench, **spec: Any) -> dict[str, Any]:
    changed = await bench.workloads.update(CONTEXT, NAMESPACE, "w", lambda old: {**old, "spec": {**old["spec"], **spec}})
    return changed.object()


async def bind(bench: Bench, host: str, **decided: Any) -> None:
    body: dict[str, Any] = {"target": {"name": host}}
    if decided:
        body["metadata"] = {"name": "w", "namespace": NAMESPACE, **decided}
    await bench.workloads.connect(CONTEXT, NAMESPACE, "w", "binding", body)


def decided_by(workload: dict[str, Any]) -> dict[str, Any]:
    return {field: workload["metadata"][field] for field in ("uid", "generation")}


async def test_a_class_that_was_misspelt_is_corrected_while_there_is_no_host(bench: Bench) -> None:
    made = await create(bench, className="mteal")
    changed = await change(bench, className="metal")
    assert changed["spec"]["className"] == "metal"
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    await bind(bench, await bench.add_host(), **decided_by(changed))


async def test_the_terms_of_the_new_class_hold_for_what_is_kept(bench: Bench) -> None:
    spec = {"provisioner": "metal3.io/baremetalhost", "images": {"allow": ["images.other.example"]}}
    await bench.classes.create(CONTEXT, "", {"metadata": {"name": "strict"}, "spec": spec})
    await create(bench, className="metal")
    with pytest.raises(ApiError) as refused:
        await change(bench, className="strict")
    assert [cause["field"] for cause in refused.value.details["causes"]] == ["spec.image.url"]


async def test_a_binding_that_was_decided_by_the_old_class_is_refused(bench: Bench) -> None:
    host = await bench.add_host()
    made = await create(bench, className="metal")
    await change(bench, className="other")
    for decided in ({}, decided_by(made)):
        with pytest.raises(ApiError) as refused:
            await bind(bench, host, **decided)
        assert refused.value.code == 409
    assert "claimRef" not in bench.hosts.get("", host).object()["spec"]


@pytest.mark.parametrize("decided", [{"generation": 1}, {"uid": "of-an-earlier-one"}])
async def test_a_binding_names_the_workload_that_it_was_decided_for(bench: Bench, decided: dict[str, Any]) -> None:
    host = await bench.add_host()
    await create(bench, className="metal")
    now = await change(bench, className="metal", requirements={"cpuCount": 64})
    with pytest.raises(ApiError) as refused:
        await bind(bench, host, **decided)
    assert refused.value.code == 409
    await bind(bench, host, **decided_by(now))


async def test_a_binding_while_the_class_is_changed_wins_or_loses_as_a_whole(bench: Bench) -> None:
    host, made = await bench.add_host(), await create(bench, className="metal")
    commit, pending = bench.catalog.workloads.cache.commit, [True]

    async def slow(operations: Any) -> Any:
        if pending.pop() if pending else False:
            await change(bench, className="other")
        return await commit(operations)

    bench.catalog.workloads.cache.commit = slow  # type: ignore[method-assign]
    with pytest.raises(ApiError) as refused:
        await bind(bench, host, **decided_by(made))
    assert refused.value.code == 409
    assert "host" not in bench.workloads.get(NAMESPACE, "w").object()["status"]


async def test_the_class_stays_once_there_is_a_host(bench: Bench) -> None:
    await create(bench, className="metal")
    await bind(bench, await bench.add_host())
    with pytest.raises(ApiError, match="immutable"):
        await change(bench, className="other")


async def test_the_class_stays_for_a_claim_through_the_view(bench: Bench) -> None:
    await bench.add_host()
    await bench.patch_view(NAMESPACE, "node-0", consumerRef=CONSUMER)
    write = bench.workloads.update(CONTEXT, NAMESPACE, "node-0", lambda old: {**old, "spec": {**old["spec"], "className": "other"}})
    with pytest.raises(ApiError, match="immutable"):
        await write


async def test_the_class_may_change_again_when_the_host_is_taken_back_and_is_another_ones(bench: Bench) -> None:
    """Take the host back, as when the scheduler chose one that another cluster was faster to
    take."""
    host = await bench.add_host()
    await create(bench, className="metal")
    await bind(bench, host)
    status = {"phase": "Pending"}
    await bench.workloads.update(CONTEXT, NAMESPACE, "w", lambda old: {**old, "status": {**old["status"], **status}}, subresource="status")
    with pytest.raises(ApiError, match="immutable"):
        await change(bench, className="other")

    def unclaimed(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "spec": {field: value for field, value in old["spec"].items() if field != "claimRef"}}

    await bench.hosts.update(CONTEXT, "", host, unclaimed)
    assert (await change(bench, className="other"))["spec"]["className"] == "other"


async def test_who_sends_the_class_again_owns_it(bench: Bench) -> None:
    await create(bench, className="metal")
    applied = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "metadata": {"name": "w"}, "spec": {"className": "other"}}
    context = Context(UserInfo("somebody"), field_manager="gitops")
    entry, _ = await bench.workloads.apply(context, NAMESPACE, "w", applied, force=True)
    assert entry.object()["spec"]["className"] == "other"
    await bench.workloads.delete(CONTEXT, NAMESPACE, "w", DeleteOptions())
