"""Generate the CustomResourceDefinitions of the hardware cluster, BareMetalHost and HardwareData,
from the project's models of the kinds.

`python -m hack.realcluster.crd` writes them to data/ (`make crds`); a unit test fails if a file is
outdated. The Baremetal Operator's own definition is in places stricter than
the model, which also serves as the tenants' view. There the definition follows BMO, because the
project's writes to a real host have to pass BMO's validation.
"""

from __future__ import annotations

import copy
from typing import Any, get_args

import yaml

from apiserver.apis.metal3 import ErrorType
from apiserver.dev.hardware import HARDWARE_DATA, REAL_HOSTS
from apiserver.registry.generic.resource import Resource
from apiserver.registry.generic.schema import structural_schema
from hack.realcluster.manifests import DATA

FILES = {DATA / f"{kind.plural}.yaml": kind for kind in (REAL_HOSTS, HARDWARE_DATA)}
HEADER = "# Made by `make crds` from the project's model of the kind: do not edit.\n"
STATUS_REQUIRED = ("errorCount", "errorMessage", "operationalStatus", "poweredOn", "provisioning", "provisioningFailCount")


def definition(kind: Resource) -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    names = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.singular,
        "shortNames": list(kind.short_names),
    }
    schema = structural_schema(kind)
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        **({"subresources": {"status": {}}} if kind.subresources else {}),
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "schema": {"openAPIV3Schema": as_strict_as_bmo(schema) if kind is REAL_HOSTS else schema},
    }
    spec = {"group": kind.group, "names": names, "scope": "Namespaced", "versions": [version]}
    metadata = {"name": f"{kind.plural}.{kind.group}"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


_BOOT_MODES = ("UEFI", "UEFISecureBoot", "legacy")
_CHECKSUMS = ("md5", "sha256", "sha512", "auto")
_FORMATS = ("raw", "qcow2", "vdi", "vmdk", "live-iso")
_HARDWARE_RAID = ("0", "1", "2", "5", "6", "1+0", "5+0", "6+0")
_SOFTWARE_RAID = ("0", "1", "1+0")

ENUMS = {
    "spec.automatedCleaningMode": ("metadata", "disabled"),
    "spec.bootMode": _BOOT_MODES,
    "spec.image.format": _FORMATS,
    "spec.inspectionMode": ("disabled", "agent", "fast"),
    "spec.raid.hardwareRAIDVolumes.level": _HARDWARE_RAID,
    "spec.raid.softwareRAIDVolumes.level": _SOFTWARE_RAID,
    "status.errorType": get_args(ErrorType),
    "status.hardware.storage.type": ("HDD", "SSD", "NVME"),
    "status.lastAttemptedImage.checksumType": _CHECKSUMS,
    "status.lastAttemptedImage.format": _FORMATS,
    "status.operationalStatus": ("", "OK", "discovered", "error", "delayed", "detached", "servicing"),
    "status.provisioning.bootMode": _BOOT_MODES,
    "status.provisioning.image.checksumType": _CHECKSUMS,
    "status.provisioning.image.format": _FORMATS,
    "status.provisioning.raid.hardwareRAIDVolumes.level": _HARDWARE_RAID,
    "status.provisioning.raid.softwareRAIDVolumes.level": _SOFTWARE_RAID,
}
"""BMO's enumerations. The model accepts any value in a host's report, because a later BMO may add
values."""


def _restrict(schema: dict[str, Any], path: list[str], words: tuple[str, ...]) -> None:
    """Restrict the field to these values."""
    for name in path:
        schema = schema.get("items", schema)["properties"][name]
    schema.pop("pattern", None)
    schema["enum"] = list(words)


def as_strict_as_bmo(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with BMO's required fields and defaults.

    The empty image format is removed: only the view accepts it, because of CAPM3."""
    schema = copy.deepcopy(schema)
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    provisioning = status["properties"]["provisioning"]
    spec["required"] = ["online"]
    del spec["properties"]["online"]["default"]
    spec["properties"]["automatedCleaningMode"]["default"] = "metadata"
    spec["properties"]["consumerRef"]["x-kubernetes-map-type"] = "atomic"
    for path, words in ENUMS.items():
        _restrict(schema, path.split("."), words)
    status["required"] = list(STATUS_REQUIRED)
    for name in STATUS_REQUIRED:
        status["properties"][name].pop("default", None)
    status["properties"]["errorCount"]["default"] = status["properties"]["provisioningFailCount"]["default"] = 0
    provisioning["required"] = ["ID", "state"]
    provisioning["properties"]["ID"].pop("default", None)
    return schema


def render(kind: Resource) -> str:
    """Return the file's content."""
    return HEADER + yaml.dump(definition(kind), Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Writes equal parts out each time, because anchors make a manifest hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _column(column: Any) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": f".{column.path}"}
    if column.priority:
        shown["priority"] = column.priority
    if column.description:
        shown["description"] = column.description
    return shown


if __name__ == "__main__":
    for file, resource in FILES.items():
        file.write_text(render(resource))
