"""Store WorkloadClasses. An annotation marks the default class, as with StorageClass."""

from __future__ import annotations

from typing import Any

from apiserver.apis.names import DEFAULT_CLASS_ANNOTATION
from apiserver.apis.status import cause
from apiserver.apis.workload import GROUP, VERSION
from apiserver.apis.workloadclass import CleaningPolicy, WorkloadClass
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import AGE, READ_WRITE, Column, Resource
from apiserver.registry.generic.strategy import Admission, Strategy
from storage.cache import WatchCache


def shown_name(class_: dict[str, Any]) -> str:
    """Return the name of the class, marked if it is a default one, as kubectl marks
    StorageClasses. A bookmark has no name."""
    metadata = class_["metadata"]
    name, default = metadata.get("name", ""), (metadata.get("annotations") or {}).get(DEFAULT_CLASS_ANNOTATION) == "true"
    return f"{name} (default)" if default else name


WORKLOADCLASSES = Resource(
    group=GROUP,
    version=VERSION,
    kind="WorkloadClass",
    plural="workloadclasses",
    short_names=("wlc",),
    categories=("metal3-workloads",),
    model=WorkloadClass,
    namespaced=False,
    columns=(
        Column("Provisioner", "spec.provisioner", description="The provider that machines come from"),
        Column("Connected", "status.conditions.(Connected).status", description="Whether the source of machines answers"),
        Column("Total", "status.hosts.total", type="integer", description="All hosts of the class"),
        Column("Free", "status.hosts.free", type="integer", description="Hosts that can be claimed now"),
        Column("Claimed", "status.hosts.claimed", type="integer", description="Hosts that workloads have"),
        Column("Unavailable", "status.hosts.unavailable", type="integer", description="All others"),
        AGE,
        Column("Reserved", "status.hosts.reserved", type="integer", priority=1, description="Free hosts that Reservations keep"),
        Column("Cleaning", "spec.cleaning.mode", priority=1, description="What happens to disks between tenants"),
        Column("Reason", "status.conditions.(Connected).reason", priority=1, description="Why the source does not answer, in a word"),
        Column("Message", "status.conditions.(Connected).message", priority=1, description="What its owner can do"),
    ),
    shown_name=shown_name,
    subresources={"status": READ_WRITE},
)


WIPES_ONLY = ("metal3.io/baremetalhost", "metal3.io/relay")
"""The provisioners that cannot erase the disks of their machines."""
_NOT_ERASED = (
    'Invalid value: "full": the Baremetal Operator wipes partition tables at most, and whether Ironic erases disks is not visible here: '
    "use metadata, and say in the class's description what your Ironic does"
)
_ERASED_ALWAYS = "Invalid value: true: with mode full every machine's disks are deleted: leave it out"
_CLEANED_ALWAYS = (
    "Invalid value: whose data is on a host is not known through a relay, so its hosts are always cleaned: use mode metadata, without "
    "tenantMayDisable"
)


class WorkloadClassStrategy(Strategy):
    """The rules of classes. A class must not promise cleaning that its provisioner cannot do."""

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        """Return causes for the cleaning policy. A stored and unchanged one stays accepted."""
        fields = ("provisioner", "cleaning")
        if old is not None and all(old["spec"].get(field) == new["spec"].get(field) for field in fields):
            return []
        return _cleaning_causes(new["spec"]["provisioner"], new["spec"].get("cleaning") or {})


def _cleaning_causes(provisioner: str, cleaning: dict[str, Any]) -> list[dict[str, str]]:
    mode, may_disable = cleaning.get("mode", "metadata"), bool(cleaning.get("tenantMayDisable"))
    causes = []
    if mode == "full" and provisioner in WIPES_ONLY:
        causes.append(cause("FieldValueInvalid", _NOT_ERASED, "spec.cleaning.mode"))
    if mode == "full" and may_disable:
        causes.append(cause("FieldValueInvalid", _ERASED_ALWAYS, "spec.cleaning.tenantMayDisable"))
    if provisioner == "metal3.io/relay" and (mode == "disabled" or may_disable):
        causes.append(cause("FieldValueInvalid", _CLEANED_ALWAYS, "spec.cleaning"))
    return causes


class WorkloadClassRegistry(Registry):
    """The generic registry. Tenants read classes without the owner's data."""

    def __init__(self, cache: WatchCache, admission: Admission | None = None) -> None:
        super().__init__(WORKLOADCLASSES, cache, strategy=WorkloadClassStrategy(), admission=admission)
        self.reduced = Registry(WORKLOADCLASSES, cache, convert=for_tenants)


_METADATA = ("name", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
_ANNOTATIONS = (DEFAULT_CLASS_ANNOTATION, "description")
_SPEC = ("provisioner", "cleaning", "reclaim", "lease", "images", "secrets", "customDeploy")
_CLEANING = CleaningPolicy().encode()
"""The defaults of a class without a cleaning policy, which tenants read too."""
_CONDITION = ("type", "status", "reason", "lastTransitionTime", "observedGeneration")


def for_tenants(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the class for tenants: the fields by which they choose it, and the rules for their
    writes.

    Fields are listed explicitly, so that a new field is hidden by default."""
    metadata = _pick(obj["metadata"], _METADATA)
    annotations = _pick(obj["metadata"].get("annotations") or {}, _ANNOTATIONS)
    if annotations:
        metadata["annotations"] = annotations
    spec = {**_pick(obj["spec"], _SPEC), "cleaning": {**_CLEANING, **(obj["spec"].get("cleaning") or {})}}
    reduced = {**_pick(obj, ("apiVersion", "kind")), "metadata": metadata, "spec": spec}
    if "status" in obj:
        conditions = [{**_pick(condition, _CONDITION), "message": ""} for condition in obj["status"].get("conditions") or []]
        reduced["status"] = {**_pick(obj["status"], ("observedGeneration",)), "conditions": conditions}
    return reduced


def _pick(source: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {field: source[field] for field in fields if field in source}


def default_class(classes: Registry) -> str | None:
    """Return the name of the default class: the newest annotated class that is not being deleted.

    DefaultStorageClass chooses in the same way."""
    metadata = [entry.object()["metadata"] for entry in classes.collection.range()]
    candidates = [
        m for m in metadata if "deletionTimestamp" not in m and (m.get("annotations") or {}).get(DEFAULT_CLASS_ANNOTATION) == "true"
    ]
    return max(candidates, key=lambda m: (m["creationTimestamp"], m["name"]))["name"] if candidates else None
