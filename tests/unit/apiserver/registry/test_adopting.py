"""Show a claim that already exists at the host's source in the view. The consumer's first write
through the view takes the claim over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.host import adopted_consumer, host_name
from apiserver.apis.names import ADOPTS
from apiserver.apis.status import ApiError
from tests.unit.apiserver.registry.conftest import CONSUMER, CONTEXT, IMAGE, report

if TYPE_CHECKING:
    from tests.unit.apiserver.registry.conftest import Registries

UID = "11111111-1111-5111-8111-111111111111"
HELD = {
    "namespace": "tenant-a",
    "labels": {"cluster.x-k8s.io/cluster-name": "c"},
    "annotations": {"baremetalhost.metal3.io/paused": "metal3.io/capm3"},
    "spec": {"consumerRef": CONSUMER, "image": IMAGE, "userData": {"name": "boot", "namespace": "tenant-a"}, "online": True},
}


@pytest.fixture
async def host(registries: Registries) -> str:
    """Create a Host that a relay reports as claimed by CONSUMER, and return its name."""
    source = {"namespace": "tenant-a", "name": "node-0", "uid": UID, "identityNamespace": "tenant-a"}
    obj = {"metadata": {"name": host_name(UID)}, "spec": {"className": "metal", "source": source}}
    entry = await registries.hosts.create(CONTEXT, "", obj)
    running = report(state="provisioned", poweredOn=True)
    running["status"]["provisioning"]["image"] = IMAGE
    await registries.report(entry.name, {"available": False, "reason": "InUse", "report": running, "held": HELD})
    await registries.hosts.connect(CONTEXT, "", entry.name, "offers", {"namespaces": ["tenant-a", "tenant-b"]})
    return entry.name


def workloads(registries: Registries) -> list[dict[str, Any]]:
    return [entry.object() for entry in registries.workloads.collection.range()]


async def test_a_held_host_is_shown_as_its_source_shows_it(registries: Registries, host: str) -> None:
    view = registries.view("tenant-a", "node-0")
    assert view is not None
    assert view["metadata"]["uid"] == UID
    assert view["metadata"]["labels"] == {"rack": "r1", **HELD["labels"]}  # type: ignore[dict-item] # HELD is a dict of anything
    assert view["metadata"]["annotations"] == HELD["annotations"]
    assert {field: view["spec"][field] for field in HELD["spec"]} == HELD["spec"]
    assert view["status"]["provisioning"]["state"] == "provisioned"
    assert view["status"]["provisioning"]["image"] == IMAGE


async def test_other_namespaces_see_nothing_of_it(registries: Registries, host: str) -> None:
    other = registries.view("tenant-b", "node-0")
    assert other is None or ("consumerRef" not in other["spec"] and other["metadata"]["uid"] != UID)
    with pytest.raises(ApiError) as error:
        await registries.patch_view("tenant-b", "node-0", consumerRef={**CONSUMER, "namespace": "tenant-b"})
    assert error.value.code in (404, 409)


async def test_any_write_of_its_consumer_takes_it_over_as_it_is(registries: Registries, host: str) -> None:
    def unpause(view: dict[str, Any]) -> dict[str, Any]:
        return {**view, "metadata": {k: v for k, v in view["metadata"].items() if k != "annotations"}}

    before = registries.view("tenant-a", "node-0")
    view = (await registries.views.update(CONTEXT, "tenant-a", "node-0", unpause)).object()
    assert before is not None
    assert view["spec"] == before["spec"]
    assert view["metadata"]["uid"] == UID
    assert "annotations" not in view["metadata"]
    [made] = workloads(registries)
    assert made["metadata"]["annotations"][ADOPTS] == adopted_consumer(CONSUMER)
    assert made["spec"]["image"] == IMAGE
    assert made["spec"]["userData"]["name"] == "boot"
    assert made["status"]["host"] == {"name": "node-0", "uid": UID, "class": "metal"}
    assert registries.hosts.get("", host).object()["spec"]["claimRef"]["uid"] == made["metadata"]["uid"]


async def test_its_class_ends_no_lease_of_what_was_taken_over(registries: Registries, host: str) -> None:
    lease = {"defaultDurationSeconds": 60, "maxDurationSeconds": 3600}
    spec = {"provisioner": "metal3.io/baremetalhost", "lease": lease}
    await registries.classes.create(CONTEXT, "", {"metadata": {"name": "metal"}, "spec": spec})
    await registries.patch_view("tenant-a", "node-0", online=False)
    [made] = workloads(registries)
    assert ("lease" in made["spec"], "lease" in made["status"]) == (False, False)
    name = made["metadata"]["name"]

    def ask(old: dict[str, Any]) -> dict[str, Any]:
        return {**old, "spec": {**old["spec"], "lease": {"durationSeconds": 120}}}

    asked = (await registries.workloads.update(CONTEXT, "tenant-a", name, ask)).object()
    assert set(asked["status"]["lease"]) == {"startTime", "expirationTimestamp"}


async def test_nothing_is_taken_over_by_a_write_that_changes_nothing(registries: Registries, host: str) -> None:
    await registries.patch_view("tenant-a", "node-0", consumerRef=CONSUMER)
    assert workloads(registries) == []


async def test_another_consumer_does_not_get_it(registries: Registries, host: str) -> None:
    with pytest.raises(ApiError) as error:
        await registries.patch_view("tenant-a", "node-0", consumerRef={**CONSUMER, "name": "m-1"})
    assert error.value.code == 409
    assert workloads(registries) == []


async def test_given_up_with_the_first_write(registries: Registries, host: str) -> None:
    view = await registries.patch_view("tenant-a", "node-0", consumerRef=None)
    assert view["status"]["provisioning"]["state"] == "deprovisioning"
    [made] = workloads(registries)
    assert "deletionTimestamp" in made["metadata"]
    assert made["metadata"]["annotations"][ADOPTS] == adopted_consumer(CONSUMER)


async def test_a_claimed_host_keeps_its_holder_whatever_its_source_reports(registries: Registries, host: str) -> None:
    await registries.patch_view("tenant-a", "node-0", image={**IMAGE, "url": "http://images.example/new"})
    await registries.report(host, {"available": False, "report": report(state="provisioned"), "held": HELD})
    view = registries.view("tenant-a", "node-0")
    assert view is not None
    assert view["spec"]["image"]["url"] == "http://images.example/new"


@pytest.mark.parametrize(
    ("annotation", "namespace", "code"), [(CONSUMER, "tenant-a", 0), (CONSUMER, "tenant-b", 409), (None, "tenant-a", 409)]
)
async def test_binding_takes_over_for_just_this_consumer(
    registries: Registries, host: str, annotation: dict[str, str] | None, namespace: str, code: int
) -> None:
    meta: dict[str, Any] = {"name": "w"}
    if annotation:
        meta["annotations"] = {ADOPTS: adopted_consumer(annotation)}
    await registries.workloads.create(CONTEXT, namespace, {"metadata": meta, "spec": {"className": "metal"}})
    binding = {"target": {"name": host}}
    if code:
        with pytest.raises(ApiError) as error:
            await registries.workloads.connect(CONTEXT, namespace, "w", "binding", binding)
        assert error.value.code == code
        return
    await registries.workloads.connect(CONTEXT, namespace, "w", "binding", binding)
    assert registries.hosts.get("", host).object()["spec"]["claimRef"]["name"] == "w"


async def test_an_offer_of_it_that_is_withdrawn_says_nothing_of_a_release(registries: Registries, host: str) -> None:
    await registries.hosts.connect(CONTEXT, "", host, "offers", {"namespaces": []})
    assert registries.view("tenant-a", "node-0") is None
    assert workloads(registries) == []


async def recovered(registries: Registries, host: str, name: str) -> None:
    """Report the host as one of the Workload of this name, which the store has lost."""
    reference = {"apiVersion": "workload.metal3.io/v1alpha1", "kind": "Workload", "namespace": "tenant-a", "name": name}
    lost = {"namespace": "tenant-a", "recovered": True, "spec": {"consumerRef": reference, "image": IMAGE}}
    await registries.report(host, {"available": False, "reason": "Held", "report": report(state="provisioned"), "held": lost})


@pytest.mark.parametrize("change", [{"online": True}, {"consumerRef": None}])
async def test_a_recovered_host_goes_to_no_workload_of_another_name(registries: Registries, host: str, change: dict[str, Any]) -> None:
    """A write through the view creates a Workload of the view's name. The quota would count the
    host for that one, so that the lost one could not come back."""
    await recovered(registries, host, "web")
    with pytest.raises(ApiError) as error:
        await registries.patch_view("tenant-a", "node-0", **change)
    assert error.value.code == 409
    assert "create a Workload of this name" in error.value.message
    assert workloads(registries) == []


async def test_a_recovered_host_goes_to_the_workload_of_its_view(registries: Registries, host: str) -> None:
    await recovered(registries, host, "node-0")
    await registries.patch_view("tenant-a", "node-0", online=True)
    assert [made["metadata"]["name"] for made in workloads(registries)] == ["node-0"]
