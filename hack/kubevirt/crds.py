"""Define the kinds of KubeVirt and CDI that the provider uses, as CustomResourceDefinitions.

Names and types of fields are upstream's. Other fields are pruned, or refused with strict field
validation. So the provider cannot depend on a field that upstream does not have. The definitions
were checked against KubeVirt's OpenAPI document of August 2026, and CDI's types of 1.65.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
STRINGS: Schema = {"type": "object", "additionalProperties": STRING}
EMPTY: Schema = {"type": "object"}
QUANTITY: Schema = {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True}


def fields(*required: str, **properties: Schema) -> Schema:
    """Return an object's schema."""
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def many(items: Schema) -> Schema:
    """Return an array's schema."""
    return {"type": "array", "items": items}


REFERENCE = fields(name=STRING)
INTERFACE = fields("name", name=STRING, macAddress=STRING, masquerade=EMPTY, bridge=EMPTY, sriov=EMPTY, model=STRING)
DISK = fields("name", name=STRING, bootOrder=INTEGER, disk=fields(bus=STRING, readonly=BOOLEAN))
VOLUME = fields(
    "name",
    name=STRING,
    containerDisk=fields("image", image=STRING, imagePullSecret=STRING),
    dataVolume=fields("name", name=STRING),
    secret=fields(secretName=STRING, volumeLabel=STRING, optional=BOOLEAN),
    cloudInitConfigDrive=fields(secretRef=REFERENCE, networkDataSecretRef=REFERENCE),
    cloudInitNoCloud=fields(secretRef=REFERENCE, networkDataSecretRef=REFERENCE),
)
INSTANCE_SPEC = fields(
    "domain",
    architecture=STRING,
    hostname=STRING,
    nodeSelector=STRINGS,
    terminationGracePeriodSeconds=INTEGER,
    domain=fields(
        "devices",
        cpu=fields(cores=INTEGER, sockets=INTEGER, threads=INTEGER),
        memory=fields(guest=QUANTITY),
        firmware=fields(uuid=STRING),
        devices=fields(disks=many(DISK), interfaces=many(INTERFACE)),
    ),
    networks=many(fields("name", name=STRING, pod=EMPTY, multus=fields("networkName", networkName=STRING))),
    volumes=many(VOLUME),
)
CONDITIONS = many(fields("type", "status", type=STRING, status=STRING, reason=STRING, message=STRING))
MACHINE = fields(
    "spec",
    spec=fields(
        "template",
        runStrategy={**STRING, "enum": ["Always", "Halted", "Manual", "RerunOnFailure", "Once", "WaitAsReceiver"]},
        template=fields(metadata=fields(labels=STRINGS, annotations=STRINGS), spec=INSTANCE_SPEC),
    ),
    status=fields(created=BOOLEAN, ready=BOOLEAN, printableStatus=STRING, conditions=CONDITIONS),
)
INSTANCE = fields(
    "spec",
    spec=INSTANCE_SPEC,
    status=fields(
        phase=STRING,
        conditions=CONDITIONS,
        interfaces=many(fields(name=STRING, mac=STRING, ipAddress=STRING, interfaceName=STRING, infoSource=STRING)),
    ),
)
DATA_VOLUME = fields(
    "spec",
    spec=fields(
        source=fields(http=fields("url", url=STRING, checksum=STRING), registry=fields(url=STRING)),
        storage=fields(storageClassName=STRING, resources=fields(requests={"type": "object", "additionalProperties": QUANTITY})),
    ),
    status=fields(phase=STRING, progress=STRING),
)


def definitions() -> list[dict[str, Any]]:
    """Return the definitions of the three kinds."""
    return [
        _definition("kubevirt.io", "v1", "virtualmachines", "VirtualMachine", "vm", MACHINE, Status=".status.printableStatus"),
        _definition("kubevirt.io", "v1", "virtualmachineinstances", "VirtualMachineInstance", "vmi", INSTANCE, Phase=".status.phase"),
        _definition("cdi.kubevirt.io", "v1beta1", "datavolumes", "DataVolume", "dv", DATA_VOLUME, Phase=".status.phase"),
    ]


def _definition(group: str, version: str, plural: str, kind: str, short: str, schema: Schema, **columns: str) -> dict[str, Any]:
    names = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower(), "shortNames": [short]}
    shown = [{"name": name, "type": "string", "jsonPath": path} for name, path in columns.items()]
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": shown,
        "schema": {"openAPIV3Schema": schema},
    }
    spec = {"group": group, "names": names, "scope": "Namespaced", "versions": [served]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": spec,
    }
