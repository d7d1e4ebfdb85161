"""Put a canary into every field of a BareMetalHost as BMO has it, and list the fields that tenants
can see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from apiserver.registry.claims.projection import project
from controllers.host.controller import host_status
from controllers.providers.baremetalhost.report import Policy, provider_host

if TYPE_CHECKING:
    from collections.abc import Iterator

CRD = Path(__file__).parents[5] / "hack/realcluster/data/baremetalhosts.yaml"
FIXED = {"spec.consumerRef.kind": "Workload", "spec.consumerRef.apiVersion": "workload.metal3.io/v1alpha1"}
SHOWN = {
    "spec.architecture",
    "spec.automatedCleaningMode",
    "spec.bootMACAddress",
    "spec.bootMode",
    "spec.hardwareProfile",
    "status.errorType",
    "status.hardwareProfile",
    "status.lastUpdated",
    "status.operationalStatus",
    "status.provisioning.state",
    "status.provisioning.bootMode",
}
UNDER = (
    "spec.rootDeviceHints.",
    "status.hardware.cpu.",
    "status.hardware.firmware.",
    "status.hardware.hostname",
    "status.hardware.nics.",
    "status.hardware.storage.",
    "status.hardware.systemVendor.",
    "status.provisioning.customDeploy.method",
    "status.provisioning.firmware.",
    "status.provisioning.image.",
    "status.provisioning.raid.",
    "status.provisioning.rootDeviceHints.",
)
"""The fields of a real host that tenants may see; all others are its owner's. Only the claimant
sees the provisioned image and the operations."""
NEVER = ("status.hardware.nics.lldp", "status.provisioning.image.ociAuthSecretName", "status.errorMessage", "status.provisioning.ID")


def filled(schema: dict[str, Any], path: str = "") -> Any:
    """Return a value with canaries for all strings, which name their field."""
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {name: filled(inner, f"{path}.{name}".lstrip(".")) for name, inner in schema["properties"].items()}
        case "object":
            return {}
        case "array":
            return [filled(schema["items"], path)]
        case "integer" | "number":
            return 1
        case "boolean":
            return False
        case _:
            return FIXED.get(path, f"canary={path};")


def everything() -> dict[str, Any]:
    """Return a claimed host with a canary in each field."""
    (definition,) = [found for found in yaml.safe_load_all(CRD.read_text()) if found["kind"] == "CustomResourceDefinition"]
    properties = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    made = {part: filled(properties[part], part) for part in ("spec", "status")}
    metadata = {
        "name": "h",
        "namespace": "canary=metadata.namespace;",
        "uid": "u",
        "labels": {"workload.metal3.io/workload-uid": "w", "owner": "canary=label;"},
        "annotations": {"owner": "canary=annotation;"},
    }
    return {"metadata": metadata, **made}


def strings(value: Any) -> Iterator[str]:
    """Yield all strings in the value."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def sightings(value: Any) -> set[str]:
    """Return the fields whose canaries are in the value."""
    return {part.partition(";")[0] for text in strings(value) for part in text.split("canary=")[1:]}


def test_what_gets_out_of_a_real_host_is_listed() -> None:
    real = everything()
    assert len(sightings(real)) > 100, "the whole schema is filled"
    reported = provider_host(real, Policy())
    seen = sightings(reported.report)
    assert "status.hardware.nics.mac" in seen
    stray = {field for field in seen if field not in SHOWN and not field.startswith(UNDER)}
    assert {field for field in stray if not field.startswith("status.operationHistory.")} == set()
    assert not {field for field in seen if field.startswith(NEVER)}


def test_the_source_s_words_stay_in_the_host() -> None:
    reported = provider_host(everything(), Policy())
    host: dict[str, Any] = {
        "metadata": {"name": "id"},
        "spec": {"className": "c", "source": {"name": "h", "uid": "u"}, "claimRef": {"namespace": "a", "name": "w", "uid": "w"}},
    }
    host["status"] = host_status(reported, host)
    assert "status.errorMessage" in sightings(host["status"])
    host["spec"]["earlier"] = {"provision": "canary=status.operationHistory.provision.start;"}
    workload = {"apiVersion": "v", "metadata": {"namespace": "a", "name": "w"}, "spec": {}, "status": {}}
    view = sightings(project(host, workload, "a", "h"))
    assert "status.errorMessage" not in view
    assert "status.operationHistory.provision.end" not in view, "an operation from before the claim"
    assert "status.operationHistory.deprovision.end" in view
    offered = {**host, "spec": {key: value for key, value in host["spec"].items() if key != "claimRef"}}
    free = sightings(project(offered, None, "b", "h"))
    assert not {
        field
        for field in free
        if field.startswith(("status.operationHistory", "status.provisioning.image", "status.provisioning.customDeploy"))
    }
