"""Store WorkloadSets, and serve their number of members as the subresource scale."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from apiserver.apis.base import DNS_LABEL
from apiserver.apis.names import CLAIMED_THROUGH, TEMPLATE_REVISION
from apiserver.apis.status import cause
from apiserver.apis.workloadset import GROUP, LONGEST_NAME, VERSION, Scale, WorkloadSet
from apiserver.registry.claims import lease
from apiserver.registry.fieldmanager import FieldSet
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.entry import Change, Entry
from apiserver.registry.generic.metadata import is_label, now, template_causes
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import AGE, READ_WRITE, SCALE, Column, Resource
from apiserver.registry.generic.selectors import LabelSelector
from apiserver.registry.generic.strategy import Admission, Strategy
from apiserver.registry.generic.validation import normalize
from apiserver.registry.workload import class_spec, spec_causes
from apiserver.registry.workloadclass import default_class
from storage.cache import WatchCache

WORKLOADSETS = Resource(
    group=GROUP,
    version=VERSION,
    kind="WorkloadSet",
    plural="workloadsets",
    short_names=("mws",),
    categories=("all", "metal3-workloads"),
    model=WorkloadSet,
    columns=(
        Column("Desired", "spec.replicas", type="integer", description="The number of members that are asked for"),
        Column("Current", "status.replicas", type="integer", description="The members that exist"),
        Column("Updated", "status.updatedReplicas", type="integer", description="The members that were made from the present template"),
        Column("Ready", "status.readyReplicas", type="integer", description="The members that run as asked for"),
        Column("Available", "status.availableReplicas", type="integer", description="The members that have run for minReadySeconds"),
        AGE,
        Column("Update", "spec.updateStrategy.type", priority=1, description="What a change of the template does to members"),
        Column("Image", "spec.template.spec.image.url", priority=1, description="The operating system of new members"),
        Column("Reason", "status.conditions.(Ready).reason", priority=1, description="Why it is not ready, in a word"),
        Column("Message", "status.conditions.(Ready).message", priority=1, description="What it waits for"),
    ),
    subresources={"status": READ_WRITE, SCALE: READ_WRITE},
)

TEMPLATE = "spec.template"
TEMPLATE_SIZE = 64 * 1024
"""The largest size of a set in bytes. Each of its members repeats the template."""
_NEW = {"observedGeneration": 0, "replicas": 0}
"""The status of a new set. Its generation shows that no controller has seen the spec yet."""
_FILLED = FieldSet.of(*(("f:status", f"f:{field}") for field in _NEW))
_NAME = re.compile(DNS_LABEL[1:-1])
_KEPT = (
    "spec.template: what runs on the members is kept (spec.updateStrategy.type is OnDelete); RollingUpdate wipes the members one by one "
    "and installs the new template"
)


class WorkloadSetStrategy(Strategy):
    """The rules of sets. A template has to be valid as a Workload of the namespace."""

    def __init__(self, classes: Registry) -> None:
        self.classes = classes

    def prepare_create(self, context: Context, new: dict[str, Any]) -> dict[str, Any]:
        """Return a new set without members."""
        new["status"] = dict(_NEW)
        return new

    def filled(self, obj: dict[str, Any]) -> FieldSet:
        """Return the first status."""
        return _FILLED

    def prepare_update(self, context: Context, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Warn about a template that is not installed."""
        new = super().prepare_update(context, old, new, subresource)
        if subresource != "status" and _keeps_what_runs(old, new) and _KEPT not in context.warnings:
            context.warnings.append(_KEPT)
        return new

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        """Check the name, the numbers, the selector and the template, as far as they have
        changed."""
        spec, before = new["spec"], old["spec"] if old is not None else None
        causes = [*_name_causes(new["metadata"]["name"])] if old is None else []
        if before is None or any(spec.get(field) != before.get(field) for field in ("replicas", "minAvailable")):
            causes += _number_causes(spec)
        if before is not None and spec["selector"] != before["selector"]:
            causes.append(cause("FieldValueInvalid", "Invalid value: field is immutable", "spec.selector"))
        if before is None or any(spec.get(field) != before.get(field) for field in ("template", "minAvailable")):
            causes += self._template_causes(spec, before, new["metadata"]["namespace"])
        return causes

    def _template_causes(self, spec: dict[str, Any], before: dict[str, Any] | None, namespace: str) -> Iterator[dict[str, str]]:
        """Yield causes for the template: those of a Workload, and those of its use in a set."""
        template, stored = spec["template"], before["template"] if before is not None else {}
        for found in template_causes(stored.get("metadata") or {}, template.get("metadata") or {}):
            yield {**found, "field": f"{TEMPLATE}.{found['field']}"}
        yield from _label_causes(stored, template)
        yield from _selector_causes(spec)
        wanted, old = template["spec"], stored.get("spec")
        name = default_class(self.classes)
        for found in spec_causes(self.classes, _with_class(wanted, name), _with_class(old, name) if old is not None else None, namespace):
            yield {**found, "field": f"{TEMPLATE}.{found['field']}"}
        class_ = _with_class(wanted, name).get("className")
        rules = ((class_spec(self.classes, class_) if class_ else None) or {}).get("lease") or {}
        for found in lease.problems({"spec": old} if old is not None else None, {"spec": wanted}, rules, now()):
            yield {**found, "field": f"{TEMPLATE}.{found['field']}"}
        if wanted.get("hostRef"):
            why = "Forbidden: a host has one Workload: use hostSelector, or create a Workload for this host"
            yield cause("FieldValueForbidden", why, f"{TEMPLATE}.spec.hostRef")
        if wanted.get("gang") and spec.get("minAvailable"):
            why = "Forbidden: spec.minAvailable makes the members a gang: leave one of the two out"
            yield cause("FieldValueForbidden", why, f"{TEMPLATE}.spec.gang")


def _keeps_what_runs(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether the update changes a template that is not installed on the present members."""
    spec, before = new.get("spec"), old["spec"]
    if not isinstance(spec, dict) or not (old.get("status") or {}).get("replicas"):
        return False
    strategy = spec.get("updateStrategy")
    rolling = isinstance(strategy, dict) and strategy.get("type") == "RollingUpdate"
    return not rolling and spec.get("template") != before.get("template")


def _label_causes(stored: dict[str, Any], template: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield causes for new or changed labels that only the server and its controllers may set."""
    before, labels = ((one.get("metadata") or {}).get("labels") or {} for one in (stored, template))
    for label in (TEMPLATE_REVISION, CLAIMED_THROUGH):
        if label in labels and labels[label] != before.get(label):
            why = f"Forbidden: {label} is written by the server and its controllers: leave it out"
            yield cause("FieldValueForbidden", why, f"{TEMPLATE}.metadata.labels")


def _with_class(spec: dict[str, Any], default: str | None) -> dict[str, Any]:
    """Return the spec with the class that a Workload with this spec gets."""
    return spec if spec.get("className") or default is None else {**spec, "className": default}


def _name_causes(name: str) -> Iterator[dict[str, str]]:
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        why = f"must be a DNS label of at most {LONGEST_NAME} characters, because its members are named {name[:LONGEST_NAME]}-0 and so on"
        yield cause("FieldValueInvalid", f'Invalid value: "{name}": {why}', "metadata.name")


def _number_causes(spec: dict[str, Any]) -> Iterator[dict[str, str]]:
    replicas, least = spec["replicas"], spec.get("minAvailable")
    if least is not None and 0 < replicas < least:
        why = f"must not exceed spec.replicas ({replicas}), for no member would get a host: lower it as well, or scale to 0"
        yield cause("FieldValueInvalid", f"Invalid value: {least}: {why}", "spec.minAvailable")


def _selector_causes(spec: dict[str, Any]) -> Iterator[dict[str, str]]:
    selector = spec["selector"]
    labels = (spec["template"].get("metadata") or {}).get("labels") or {}
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        why = "Invalid value: {}: an empty selector would select every Workload: name labels of the template"
        yield cause("FieldValueInvalid", why, "spec.selector")
    elif bad := [one for one in selector.get("matchExpressions") or () if not _is_expression(one)]:
        why = f"Invalid value: {orjson.dumps(bad[0]).decode()[:1024]}: In and NotIn need values, the others none; key is a label's"
        yield cause("FieldValueInvalid", why, "spec.selector.matchExpressions")
    elif not LabelSelector.of(selector).matches(labels):
        why = f"Invalid value: {orjson.dumps(labels).decode()[:1024]}: `selector` does not match template `labels`"
        yield cause("FieldValueInvalid", why, f"{TEMPLATE}.metadata.labels")


def _is_expression(expression: dict[str, Any]) -> bool:
    """Return whether the key is a label's, and the operator has the values that it needs."""
    values = expression.get("values") or ()
    return bool(values) is (expression["operator"] in ("In", "NotIn")) and all(is_label(expression["key"], one) for one in values or ("",))


class WorkloadSetRegistry(Registry):
    """The generic registry, with bounds for templates, and the admission of scale."""

    size = TEMPLATE_SIZE

    def __init__(self, cache: WatchCache, classes: Registry, admission: Admission | None = None) -> None:
        super().__init__(WORKLOADSETS, cache, strategy=WorkloadSetStrategy(classes), admission=admission)
        self.scale = ScaleRegistry(self)

    async def _admitted(self, write: Attributes, new: dict[str, Any]) -> dict[str, Any]:
        """Return the object that the write may store after admission.

        A write of scale is admitted as UPDATE of workloadsets/scale, and as UPDATE of the set. So a
        policy for sets cannot be evaded by scaling."""
        if write.subresource == SCALE and write.old is not None:
            scaled = await self.admission.admit(write._replace(new=scale_of(new), old=scale_of(write.old)))
            if scaled is not None and scaled["spec"] != scale_of(new)["spec"]:
                new = self._checked(write.old, scaled_to(new, normalize(SCALES, scaled, write.name)))
            write = write._replace(new=new, subresource="")
        return await super()._admitted(write, new)


SCALES = Resource(group="autoscaling", version="v1", kind="Scale", plural=WORKLOADSETS.plural, model=Scale)


def scale_of(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the Scale of a set."""
    metadata = {field: obj["metadata"][field] for field in _IDENTITY if field in obj["metadata"]}
    status = {"replicas": (obj.get("status") or {}).get("replicas") or 0, "selector": str(LabelSelector.of(obj["spec"]["selector"]))}
    return {
        "kind": SCALES.kind,
        "apiVersion": SCALES.api_version,
        "metadata": metadata,
        "spec": {"replicas": obj["spec"]["replicas"]},
        "status": status,
    }


_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
"""The metadata of a Scale (k8s.io/apiextensions-apiserver, scaleFromCustomResource)."""


def scaled_to(obj: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]:
    """Return the set with the number of members that the Scale requests."""
    return {**obj, "spec": {**obj["spec"], "replicas": scale["spec"]["replicas"]}}


class ScaleRegistry(Registry):
    """The Scales of the sets of `inner`. They are computed from the sets, and written into them."""

    def __init__(self, inner: Registry) -> None:
        super().__init__(SCALES, inner.cache, collection=inner.collection)
        self._inner = inner

    def get(self, namespace: str, name: str) -> Entry:
        """Return the Scale of a set. Raises NotFound."""
        return _shown(self._inner.get(namespace, name))

    async def update(
        self, context: Context, namespace: str, name: str, change: Change, *, subresource: str = "", applied: bool = False
    ) -> Entry:
        """Write spec.replicas of the set."""

        def changed(current: dict[str, Any]) -> dict[str, Any]:
            wanted = change(scale_of(current))
            scale = normalize(SCALES, wanted, name)
            metadata = scale["metadata"]
            kept = {field: metadata[field] for field in ("resourceVersion", "uid") if metadata.get(field)}
            return scaled_to({**current, "metadata": {**current["metadata"], **kept}}, scale)

        return _shown(await self._inner.update(context, namespace, name, changed, subresource=SCALE))

    async def apply(
        self, context: Context, namespace: str, name: str, wanted: dict[str, Any], *, force: bool, subresource: str = ""
    ) -> tuple[Entry, bool]:
        """Apply spec.replicas to the set."""
        scale = normalize(SCALES, wanted, name)
        metadata = {field: value for field, value in scale["metadata"].items() if field in ("name", "namespace", "uid", "resourceVersion")}
        part = {"apiVersion": WORKLOADSETS.api_version, "kind": WORKLOADSETS.kind, "metadata": metadata}
        entry, created = await self._inner.apply(
            context, namespace, name, {**part, "spec": {"replicas": scale["spec"]["replicas"]}}, force=force, subresource=SCALE
        )
        return _shown(entry), created


def _shown(entry: Entry) -> Entry:
    json = orjson.dumps(scale_of(entry.object()))
    return Entry(entry.key, entry.namespace, entry.name, entry.revision, json, entry.labels, entry.fields)
