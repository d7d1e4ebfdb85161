"""Classes as tenants see them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from apiserver.handlers.response.rows import row_of
from apiserver.registry.generic.context import DeleteOptions
from apiserver.registry.workloadclass import WORKLOADCLASSES, default_class
from tests.unit.apiserver.registry.conftest import CONTEXT

if TYPE_CHECKING:
    from tests.unit.apiserver.registry.conftest import Bench

CANARY = "canary-of-the-owner"
DEFAULT = "workloadclass.workload.metal3.io/is-default-class"


async def test_tenants_see_the_class_without_what_is_the_owners(bench: Bench) -> None:
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
        "secrets": {"requiredLabel": "first-boot", "allowedTypes": ["cluster.x-k8s.io/secret"]},
        "credentialsSecretRef": {"namespace": CANARY, "name": CANARY},
    }
    metadata = {"name": "metal", "labels": {CANARY: CANARY}, "finalizers": [f"{CANARY}/x"]}
    annotations = {DEFAULT: "true", "kubectl.kubernetes.io/last-applied-configuration": CANARY}
    metadata["annotations"] = annotations
    await bench.classes.create(CONTEXT, "", {"metadata": metadata, "spec": spec})
    condition = {
        "type": "Connected",
        "status": "False",
        "reason": "Unreachable",
        "message": CANARY,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"conditions": [condition], "hosts": {"total": 4711}}
    await bench.classes.update(CONTEXT, "", "metal", lambda old: {**old, "status": status}, subresource="status")
    assert bench.classes.reduced is not None
    entry = bench.classes.reduced.get("", "metal")
    seen = entry.object()
    assert CANARY not in json.dumps(seen)
    assert "4711" not in json.dumps(seen)
    assert set(seen["spec"]) == {"provisioner", "images", "customDeploy", "cleaning", "reclaim", "secrets"}
    assert seen["metadata"]["annotations"] == {DEFAULT: "true"}
    assert seen["status"]["conditions"][0]["reason"] == "Unreachable"
    assert "hosts" not in seen["status"]
    assert row_of(WORKLOADCLASSES, entry) is not None, "columns of counts are empty"
    assert entry.revision == bench.classes.get("", "metal").revision
    assert CANARY in json.dumps(bench.classes.get("", "metal").object())


async def test_a_class_that_is_being_deleted_is_nobodys_default(bench: Bench) -> None:
    spec = {"provisioner": "metal3.io/baremetalhost"}
    for name, finalizers in (("old", []), ("leaving", ["example.com/kept"])):
        metadata = {"name": name, "annotations": {DEFAULT: "true"}, "finalizers": finalizers}
        await bench.classes.create(CONTEXT, "", {"metadata": metadata, "spec": spec})
    await bench.classes.delete(CONTEXT, "", "leaving", DeleteOptions())
    assert default_class(bench.classes) == "old"
    await bench.classes.delete(CONTEXT, "", "old", DeleteOptions())
    assert default_class(bench.classes) is None
