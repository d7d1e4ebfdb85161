"""Define the kinds that both servers serve: a Gadget with every feature of a schema, and our own
kinds without their special rules.

`definition` generates the kube-apiserver's CustomResourceDefinition from the same Resource that our
server uses.
"""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from apiserver.apis.base import Model, Quantity, Timestamp
from apiserver.apis.meta import ATOMIC, Conditions, ObjectMeta
from apiserver.registry.generic.resource import SCALE, Column, Resource
from apiserver.registry.generic.schema import structural_schema
from apiserver.registry.reservation import RESERVATIONS
from apiserver.registry.workload import WORKLOADS
from apiserver.registry.workloadclass import WORKLOADCLASSES
from apiserver.registry.workloadset import WORKLOADSETS

GROUP, VERSION = "conformance.example.com", "v1"


class Port(Model):
    """An item of a list that is a map by port and protocol."""

    port: int = Field(ge=1, le=65535)
    protocol: str = "TCP"
    name: str | None = None


class Template(Model):
    """An object that one manager owns as a whole."""

    model_config = ATOMIC

    a: str | None = None
    b: str | None = None


class Part(Model):
    """A required field inside an optional object."""

    name: str
    weight: int | None = None


class GadgetSpec(Model):
    """One field of each sort."""

    size: int = Field(default=1, ge=1, le=100)
    mode: Literal["fast", "slow"] = "slow"
    title: str | None = Field(default=None, min_length=2, max_length=8)
    code: str | None = Field(default=None, pattern="^[a-z]+$")
    paused: bool | None = None
    ratio: float | None = None
    when: Timestamp | None = None
    args: list[str] | None = Field(default=None, max_length=3)
    tags: Annotated[list[str], Field(json_schema_extra={"x-kubernetes-list-type": "set"})] | None = None
    ports: (
        Annotated[
            list[Port], Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"]})
        ]
        | None
    ) = None
    settings: dict[str, str] | None = None
    limits: dict[str, Quantity] | None = None
    template: Template | None = None
    part: Part | None = None
    parts: list[Part] | None = None
    free: dict[str, Any] | None = None


class GadgetStatus(Model):
    """The state of a Gadget."""

    phase: str | None = None
    count: int | None = None
    conditions: Conditions | None = None


class Gadget(Model):
    """A namespaced kind with every feature."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    spec: GadgetSpec = Field(default_factory=GadgetSpec)
    status: GadgetStatus | None = None


class Rack(Model):
    """A cluster-scoped kind without status or spec."""

    api_version: str | None = None
    kind: str | None = None
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)
    height: int | None = None


STATUS = {"status": frozenset({"get", "update", "patch"})}
GADGETS = Resource(
    group=GROUP,
    version=VERSION,
    kind="Gadget",
    plural="gadgets",
    singular="gadget",
    short_names=("gg",),
    categories=("all", "things"),
    model=Gadget,
    columns=(
        Column("Mode", "spec.mode", description="How fast it goes"),
        Column("Size", "spec.size", "integer", description="How large it is"),
        Column("Paused", "spec.paused", "boolean", description="Whether it stands still"),
        Column("Ratio", "spec.ratio", "number", priority=1, description="Of what to what"),
        Column("Ready", "status.conditions.(Ready).status", description="Whether it is done"),
        Column("When", "spec.when", "date", priority=1, description="Since when"),
        Column("Age", "metadata.creationTimestamp", "date", description="How old it is"),
    ),
    fields={"spec.mode": "spec.mode", "spec.size": "spec.size"},
    subresources=STATUS,
)
RACKS = Resource(
    group=GROUP, version=VERSION, kind="Rack", plural="racks", singular="rack", model=Rack, namespaced=False, subresources=None
)  # fmt: skip
KINDS = (
    GADGETS,
    RACKS,
    replace(WORKLOADS, group=GROUP, version=VERSION, subresources=STATUS),
    replace(WORKLOADSETS, group=GROUP, version=VERSION, subresources={**STATUS, SCALE: STATUS["status"]}),
    replace(RESERVATIONS, group=GROUP, version=VERSION, subresources=STATUS),
    replace(WORKLOADCLASSES, group=GROUP, version=VERSION, subresources=STATUS),
)


def definition(resource: Resource) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    schema = copy.deepcopy(structural_schema(resource))
    if "spec" in schema["properties"] and "spec" not in schema.get("required", ()):
        # A factory in the model creates this default, which a JSON schema cannot express.
        schema["properties"]["spec"]["default"] = {}
    version: dict[str, Any] = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [_column(column) for column in resource.columns],
        "selectableFields": [{"jsonPath": f".{path}"} for path in (resource.fields or {}).values()],
    }
    if resource.subresources:
        version["subresources"] = {"status": {}}
    if SCALE in (resource.subresources or {}):
        version["subresources"]["scale"] = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    names = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular,
        "shortNames": list(resource.short_names),
        "categories": list(resource.categories),
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": names,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "versions": [{key: value for key, value in version.items() if value}],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    path = re.sub(r"\.\((\w+)\)", r'[?(@.type=="\1")]', column.path)
    shown: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": f".{path}"}
    if column.priority:
        shown["priority"] = column.priority
    if column.description:
        shown["description"] = column.description
    return shown
