"""Check that the class of a Workload may change until a host is bound. A binding that was decided
before the change is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.registry.generic.context import Context, DeleteOptions, UserInfo
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE

if TYPE_CHECKING:
    from tests.unit.apiserver.registry.conftest import Registries

NAMESPACE = "tenant-a"


async def create(registries: Registries, **spec: Any) -> dict[str, Any]:
    made = await registries.workloads.create(CONTEXT, NAMESPACE, {"metadata": {"name": "w"}, "spec": {"image": IMAGE, **spec}})
    return made.object()


async def change(registries: Registries, **spec: Any) -> dict[str, Any]:
    changed = await registries.workloads.update(CONTEXT, NAMESPACE, "w", lambda old: {**old, "spec": {**old["spec"], **spec}})
    return changed.object()


async def bind(registries: Registries, host: str, **decided: Any) -> None:
    body: dict[str, Any] = {"target": {"name": host}}
    if decided:
        body["metadata"] = {"name": "w", "namespace": NAMESPACE, **decided}
    await registries.workloads.connect(CONTEXT, NAMESPACE, "w", "binding", body)


def decided_by(workload: dict[str, Any]) -> dict[str, Any]:
    return {field: workload["metadata"][field] for field in ("uid", "generation")}


async def test_a_class_that_was_misspelt_is_corrected_while_there_is_no_host(registries: Registries) -> None:
    made = await create(registries, className="mteal")
    changed = await change(registries, className="metal")
    assert changed["spec"]["className"] == "metal"
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    await bind(registries, await registries.add_host(), **decided_by(changed))


async def test_the_terms_of_the_new_class_hold_for_what_is_kept(registries: Registries) -> None:
    spec = {"provisioner": "metal3.io/baremetalhost", "images": {"allow": ["images.other.example"]}}
    await registries.classes.create(CONTEXT, "", {"metadata": {"name": "strict"}, "spec": spec})
    await create(registries, className="metal")
    with pytest.raises(ApiError) as refused:
        await change(registries, className="strict")
    assert [cause["field"] for cause in refused.value.details["causes"]] == ["spec.image.url"]


async def test_a_binding_that_was_decided_by_the_old_class_is_refused(registries: Registries) -> None:
    host = await registries.add_host()
    made = await create(registries, className="metal")
    await change(registries, className="other")
    for decided in ({}, decided_by(made)):
        with pytest.raises(ApiError) as refused:
            await bind(registries, host, **decided)
        assert refused.value.code == 409
    assert "claimRef" not in registries.hosts.get("", host).object()["spec"]


@pytest.mark.parametrize("decided", [{"generation": 1}, {"uid": "of-an-earlier-one"}])
async def test_a_binding_names_the_workload_that_it_was_decided_for(registries: Registries, decided: dict[str, Any]) -> None:
    host = await registries.add_host()
    await create(registries, className="metal")
    now = await change(registries, className="metal", requirements={"cpuCount": 64})
    with pytest.raises(ApiError) as refused:
        await bind(registries, host, **decided)
    assert refused.value.code == 409
    await bind(registries, host, **decided_by(now))


async def test_a_binding_while_the_class_is_changed_wins_or_loses_as_a_whole(registries: Registries) -> None:
    host, made = await registries.add_host(), await create(registries, className="metal")
    commit, pending = registries.catalog.workloads.cache.commit, [True]

    async def slow(operations: Any) -> Any:
        if pending.pop() if pending else False:
            await change(registries, className="other")
        return await commit(operations)

    registries.catalog.workloads.cache.commit = slow  # type: ignore[method-assign] # in place of the object's own
    with pytest.raises(ApiError) as refused:
        await bind(registries, host, **decided_by(made))
    assert refused.value.code == 409
    assert "host" not in registries.workloads.get(NAMESPACE, "w").object()["status"]


async def test_the_class_stays_once_there_is_a_host(registries: Registries) -> None:
    await create(registries, className="metal")
    await bind(registries, await registries.add_host())
    with pytest.raises(ApiError, match="immutable"):
        await change(registries, className="other")


async def test_the_class_stays_for_a_claim_through_the_view(registries: Registries) -> None:
    await registries.add_host()
    await registries.patch_view(NAMESPACE, "node-0", consumerRef=CONSUMER)
    write = registries.workloads.update(CONTEXT, NAMESPACE, "node-0", lambda old: {**old, "spec": {**old["spec"], "className": "other"}})
    with pytest.raises(ApiError, match="immutable"):
        await write


async def test_the_class_may_change_again_when_the_host_is_taken_back_and_is_another_ones(registries: Registries) -> None:
    """Take the host back, as when the scheduler chose one that another cluster was faster to
    take."""
    host = await registries.add_host()
    await create(registries, className="metal")
    await bind(registries, host)
    status = {"phase": "Pending"}
    await registries.workloads.update(
        CONTEXT, NAMESPACE, "w", lambda old: {**old, "status": {**old["status"], **status}}, subresource="status"
    )
    with pytest.raises(ApiError, match="immutable"):
        await change(registries, className="other")

    def unclaimed(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "spec": {field: value for field, value in old["spec"].items() if field != "claimRef"}}

    await registries.hosts.update(CONTEXT, "", host, unclaimed)
    assert (await change(registries, className="other"))["spec"]["className"] == "other"


async def test_a_manager_that_applies_the_class_owns_it(registries: Registries) -> None:
    await create(registries, className="metal")
    applied = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "metadata": {"name": "w"}, "spec": {"className": "other"}}
    context = Context(UserInfo("somebody"), field_manager="gitops")
    entry, _ = await registries.workloads.apply(context, NAMESPACE, "w", applied, force=True)
    assert entry.object()["spec"]["className"] == "other"
    await registries.workloads.delete(CONTEXT, NAMESPACE, "w", DeleteOptions())
