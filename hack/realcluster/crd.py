"""The hardware cluster's BareMetalHost as a CustomResourceDefinition, made of the project's own model of the kind.

`python -m hack.realcluster.crd` writes it to data/baremetalhosts.yaml (`make crds`); a unit test tells when that is due. Where the
Baremetal Operator's own definition is stricter than the model, which also serves as the tenants' view, the definition follows BMO:
what this project writes to a real host has to pass there.
"""

from __future__ import annotations

import copy
from typing import Any

import yaml

from apiserver.dev.hardware import REAL_HOSTS
from apiserver.registry.schema import structural_schema
from hack.realcluster.manifests import DATA

FILE = DATA / "baremetalhosts.yaml"
HEADER = "# Made by `make crds` from the project's model of the kind: do not edit.\n"
STATUS_REQUIRED = ("errorCount", "errorMessage", "operationalStatus", "poweredOn", "provisioning", "provisioningFailCount")


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition."""
    names = {
        "kind": REAL_HOSTS.kind,
        "listKind": f"{REAL_HOSTS.kind}List",
        "plural": REAL_HOSTS.plural,
        "singular": REAL_HOSTS.singular,
        "shortNames": list(REAL_HOSTS.short_names),
    }
    version = {
        "name": REAL_HOSTS.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in REAL_HOSTS.columns],
        "schema": {"openAPIV3Schema": as_strict_as_bmo(structural_schema(REAL_HOSTS))},
    }
    spec = {"group": REAL_HOSTS.group, "names": names, "scope": "Namespaced", "versions": [version]}
    metadata = {"name": f"{REAL_HOSTS.plural}.{REAL_HOSTS.group}"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def as_strict_as_bmo(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with what BMO requires and defaults, and without the empty image format that only the view accepts for CAPM3's sake."""
    schema = copy.deepcopy(schema)
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    provisioning = status["properties"]["provisioning"]
    spec["required"] = ["online"]
    del spec["properties"]["online"]["default"]
    spec["properties"]["automatedCleaningMode"]["default"] = "metadata"
    spec["properties"]["consumerRef"]["x-kubernetes-map-type"] = "atomic"
    for image in (spec["properties"]["image"], provisioning["properties"]["image"], status["properties"]["lastAttemptedImage"]):
        image["properties"]["format"]["enum"] = [value for value in image["properties"]["format"]["enum"] if value]
    status["required"] = list(STATUS_REQUIRED)
    for name in STATUS_REQUIRED:
        status["properties"][name].pop("default", None)
    status["properties"]["errorCount"]["default"] = status["properties"]["provisioningFailCount"]["default"] = 0
    provisioning["required"] = ["ID", "state"]
    provisioning["properties"]["ID"].pop("default", None)
    return schema


def render() -> str:
    """The file's content."""
    return HEADER + yaml.dump(definition(), Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Writes equal parts out each time: anchors make a manifest hard to read."""

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
    FILE.write_text(render())
