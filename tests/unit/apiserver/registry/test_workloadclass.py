"""Check classes as tenants see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from apiserver.apis.status import ApiError
from apiserver.handlers.response.rows import row_of
from apiserver.registry.generic.context import DeleteOptions
from apiserver.registry.workloadclass import WORKLOADCLASSES, default_class
from tests.unit.apiserver.registry.conftest import CONTEXT

if TYPE_CHECKING:
    from tests.unit.apiserver.registry.conftest import Registries

CANARY = "canary-of-the-owner"
DEFAULT = "workloadclass.workload.metal3.io/is-default-class"


async def test_tenants_see_the_class_without_what_is_the_owners(registries: Registries) -> None:
    spec = {
        "provisioner": "metal3.io/baremetalhost",
        "parameters": {"namespace": CANARY},
        "allowedNamespaces": {"names": [CANARY], "nameMatches": CANARY, "selector": {"matchLabels": {CANARY: CANARY}}},
        "metadata": {"labelsMatch": CANARY, "annotationsMatch": CANARY},
        "hostSelector": {"matchLabels": {CANARY: CANARY}},
        "offer": {"maxPerNamespace": 4711},
        "images": {"allow": ["https://images.example.com/"]},
        "customDeploy": {"methods": ["install"]},
        "cleaning": {"mode": "metadata"},
        "reclaim": {"tenantMayRetain": True},
        "lease": {"maxDurationSeconds": 60},
        "secrets": {"requiredLabel": "first-boot", "allowedTypes": ["cluster.x-k8s.io/secret"]},
        "credentialsSecretRef": {"namespace": CANARY, "name": CANARY},
    }
    metadata = {"name": "metal", "labels": {CANARY: CANARY}, "finalizers": [f"{CANARY}/x"]}
    annotations = {DEFAULT: "true", "kubectl.kubernetes.io/last-applied-configuration": CANARY}
    metadata["annotations"] = annotations
    await registries.classes.create(CONTEXT, "", {"metadata": metadata, "spec": spec})
    condition = {
        "type": "Connected",
        "status": "False",
        "reason": "Unreachable",
        "message": CANARY,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [condition], "hosts": {"total": 4711}}
    await registries.classes.update(CONTEXT, "", "metal", lambda old: {**old, "status": status}, subresource="status")
    assert registries.classes.reduced is not None
    entry = registries.classes.reduced.get("", "metal")
    seen = entry.object()
    assert CANARY not in json.dumps(seen)
    assert "4711" not in json.dumps(seen)
    assert set(seen["spec"]) == {"provisioner", "images", "customDeploy", "cleaning", "reclaim", "lease", "secrets"}
    assert seen["metadata"]["annotations"] == {DEFAULT: "true"}
    assert seen["status"]["conditions"][0]["reason"] == "Unreachable"
    assert "hosts" not in seen["status"]
    assert row_of(WORKLOADCLASSES, entry) is not None, "columns of counts are empty"
    assert entry.revision == registries.classes.get("", "metal").revision
    assert CANARY in json.dumps(registries.classes.get("", "metal").object())


async def test_a_class_that_is_being_deleted_is_not_the_default(registries: Registries) -> None:
    spec = {"provisioner": "metal3.io/baremetalhost"}
    for name, finalizers in (("old", []), ("leaving", ["example.com/kept"])):
        metadata = {"name": name, "annotations": {DEFAULT: "true"}, "finalizers": finalizers}
        await registries.classes.create(CONTEXT, "", {"metadata": metadata, "spec": spec})
    await registries.classes.delete(CONTEXT, "", "leaving", DeleteOptions())
    assert default_class(registries.classes) == "old"
    await registries.classes.delete(CONTEXT, "", "old", DeleteOptions())
    assert default_class(registries.classes) is None


BMO, RELAY, KUBEVIRT = "metal3.io/baremetalhost", "metal3.io/relay", "metal3.io/kubevirt"


@pytest.mark.parametrize(
    ("provisioner", "cleaning", "refused"),
    [
        (BMO, {"mode": "full"}, "spec.cleaning.mode"),
        (RELAY, {"mode": "full"}, "spec.cleaning.mode"),
        (KUBEVIRT, {"mode": "full", "tenantMayDisable": True}, "spec.cleaning.tenantMayDisable"),
        (RELAY, {"mode": "disabled"}, "spec.cleaning"),
        (RELAY, {"tenantMayDisable": True}, "spec.cleaning"),
        (BMO, {"mode": "erased"}, "spec.cleaning.mode"),
        (KUBEVIRT, {"mode": "full"}, None),
        ("example.com/own", {"mode": "full"}, None),
        (BMO, {"mode": "disabled", "tenantMayDisable": True}, None),
        (RELAY, {"mode": "metadata"}, None),
        (RELAY, None, None),
    ],
)
async def test_a_class_promises_no_cleaning_that_its_provisioner_cannot_keep(
    registries: Registries, provisioner: str, cleaning: dict[str, Any] | None, refused: str | None
) -> None:
    spec = {"provisioner": provisioner, "cleaning": cleaning}
    made = {"metadata": {"name": "c"}, "spec": {key: value for key, value in spec.items() if value is not None}}
    if refused is None:
        await registries.classes.create(CONTEXT, "", made)
        return
    with pytest.raises(ApiError) as error:
        await registries.classes.create(CONTEXT, "", made)
    assert error.value.code == 422
    assert [item["field"] for item in error.value.details["causes"]] == [refused]


async def test_a_class_of_an_earlier_version_stays_writable_as_it_is(registries: Registries) -> None:
    cleaning = {"mode": "disabled", "tenantMayDisable": False}
    made = await registries.classes.create(CONTEXT, "", {"metadata": {"name": "c"}, "spec": {"provisioner": BMO, "cleaning": cleaning}})
    stored = {**made.object(), "spec": {"provisioner": RELAY, "cleaning": cleaning, "parameters": {}}}
    await registries.classes.cache.commit([registries.classes.put(made, stored)])
    await registries.classes.update(CONTEXT, "", "c", lambda old: {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}}})
    with pytest.raises(ApiError):
        await registries.classes.update(
            CONTEXT, "", "c", lambda old: {**old, "spec": {**old["spec"], "cleaning": {**cleaning, "tenantMayDisable": True}}}
        )


@pytest.mark.parametrize(
    ("cleaning", "mode"), [(None, "metadata"), ({"tenantMayDisable": True}, "metadata"), ({"mode": "disabled"}, "disabled")]
)
async def test_tenants_read_the_level_of_every_class(registries: Registries, cleaning: dict[str, Any] | None, mode: str) -> None:
    spec = {"provisioner": BMO, **({"cleaning": cleaning} if cleaning else {})}
    await registries.classes.create(CONTEXT, "", {"metadata": {"name": "c"}, "spec": spec})
    assert registries.classes.reduced is not None
    seen = registries.classes.reduced.get("", "c").object()["spec"]["cleaning"]
    assert seen == {"mode": mode, "tenantMayDisable": (cleaning or {}).get("tenantMayDisable", False)}


def test_a_bookmark_in_a_table_has_no_name() -> None:
    assert WORKLOADCLASSES.shown_name is not None
    assert WORKLOADCLASSES.shown_name({"metadata": {"resourceVersion": "7", "creationTimestamp": None}}) == ""
