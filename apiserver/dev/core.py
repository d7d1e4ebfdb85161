"""Serve a small core/v1 in dev mode, with stringData, and the phase and deletion of namespaces.

A deleted namespace is Terminating at once. apiserver.dev.namespacecontroller empties it and removes
its finalizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from apiserver.apis.core import VERSION, ConfigMap, Event, Namespace, Secret
from apiserver.apis.status import cause
from apiserver.dev.protobuf import read_core
from apiserver.dev.strategic import strategic_merge
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import AGE, READ_WRITE, Column, Resource
from apiserver.registry.generic.strategy import Admission, Strategy
from storage.base import Operation
from storage.cache import WatchCache

FINALIZER = "kubernetes"
"""The finalizer of namespaces.

In Kubernetes it is in spec.finalizers. Here it is in the metadata, which the registry supports."""

_core = partial(Resource, group="", version=VERSION, strategic=strategic_merge, protobuf=read_core)
NAMESPACES = _core(
    kind="Namespace",
    plural="namespaces",
    short_names=("ns",),
    model=Namespace,
    namespaced=False,
    columns=(Column("Status", "status.phase", description="The status of the namespace"), AGE),
    subresources={"status": READ_WRITE},
)
SECRETS = _core(
    kind="Secret",
    plural="secrets",
    model=Secret,
    columns=(Column("Type", "type"), AGE),
    fields={"type": "type"},
)
CONFIGMAPS = _core(
    kind="ConfigMap",
    plural="configmaps",
    short_names=("cm",),
    model=ConfigMap,
    columns=(AGE,),
)
EVENTS = _core(
    kind="Event",
    plural="events",
    short_names=("ev",),
    model=Event,
    columns=(
        Column("Last Seen", "lastTimestamp", type="date", description="When it last happened"),
        Column("Type", "type"),
        Column("Reason", "reason"),
        Column("Kind", "involvedObject.kind", description="What it happened to"),
        Column("Object", "involvedObject.name", description="What it happened to"),
        Column("Message", "message"),
        Column("Count", "count", type="integer", priority=1),
        Column("Source", "source.component", priority=1),
    ),
    fields={
        "involvedObject.kind": "involvedObject.kind",
        "involvedObject.namespace": "involvedObject.namespace",
        "involvedObject.name": "involvedObject.name",
        "involvedObject.uid": "involvedObject.uid",
        "involvedObject.apiVersion": "involvedObject.apiVersion",
        "involvedObject.resourceVersion": "involvedObject.resourceVersion",
        "involvedObject.fieldPath": "involvedObject.fieldPath",
        "reason": "reason",
        "reportingComponent": "reportingComponent",
        "source": "source.component",
        "type": "type",
    },
)


class NamespaceStrategy(Strategy):
    """The rules of namespaces: the namespace's name as a label, for selectors, and a finalizer
    until it is empty."""

    def prepare_create(self, context: Context, new: dict[str, Any]) -> dict[str, Any]:
        """Return an active namespace with label and finalizer."""
        return self._marked({**new, "status": {"phase": "Active"}})

    def prepare_update(self, context: Context, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Keep the label."""
        return self._marked(super().prepare_update(context, old, new, subresource), held=False)

    async def operations(
        self, context: Context, entry: Entry | None, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Operation]]:
        """Set the phase that follows from the deletion, in the same write."""
        ends = "deletionTimestamp" in new["metadata"]
        return {**new, "status": {**new["status"], "phase": "Terminating"}} if ends else new, []

    def _marked(self, new: dict[str, Any], *, held: bool = True) -> dict[str, Any]:
        metadata = new["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
        if held:
            metadata["finalizers"] = [*(f for f in metadata.get("finalizers") or () if f != FINALIZER), FINALIZER]
        return new


class DataStrategy(Strategy):
    """The rules of Secrets and ConfigMaps: immutable data and a secret's type cannot change."""

    def prepare_create(self, context: Context, new: dict[str, Any]) -> dict[str, Any]:
        return new

    def prepare_update(self, context: Context, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        return new

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        if old is None:
            return []
        causes = []
        if old.get("type") != new.get("type"):
            causes.append(cause("FieldValueInvalid", "Invalid value: field is immutable", "type"))
        if old.get("immutable"):
            changed = [field for field in ("data", "binaryData", "immutable") if old.get(field) != new.get(field)]
            causes += [cause("FieldValueForbidden", "Forbidden: field is immutable when `immutable` is set", field) for field in changed]
        return causes


@dataclass(frozen=True, slots=True)
class CoreCatalog:
    """The registries of the core group."""

    namespaces: Registry
    secrets: Registry
    configmaps: Registry
    events: Registry

    @property
    def registries(self) -> tuple[Registry, ...]:
        """Return all registries in the order of discovery."""
        return (self.configmaps, self.events, self.namespaces, self.secrets)


def core_catalog(cache: WatchCache, admission: Admission | None = None) -> CoreCatalog:
    """Return the registries over `cache`, which must not be started yet."""
    return CoreCatalog(
        Registry(NAMESPACES, cache, strategy=NamespaceStrategy(), admission=admission),
        Registry(SECRETS, cache, strategy=DataStrategy(), admission=admission),
        Registry(CONFIGMAPS, cache, strategy=DataStrategy(), admission=admission),
        Registry(EVENTS, cache, admission=admission),
    )


class LocalNamespaces:
    """The namespaces of this server, for admission
    (apiserver.admission.namespacelifecycle.Namespaces)."""

    def __init__(self) -> None:
        self.registry: Registry | None = None

    async def get(self, name: str, *, live: bool = False) -> dict[str, Any] | None:
        """Return the namespace from the cache, which has every write of this server."""
        assert self.registry is not None, "connect it with the registry of namespaces first"
        entry = self.registry.find("", name)
        return None if entry is None else entry.object()
