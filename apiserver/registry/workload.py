"""Store Workloads, the requests of tenants. Their binding subresource claims a Host atomically."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError

from apiserver.apis.images import checksum_problem, deploy_problems, digest_problem
from apiserver.apis.lengths import long_texts
from apiserver.apis.names import FIRST_BOOT, RELEASE_FINALIZER
from apiserver.apis.status import cause, conflict, path_not_found
from apiserver.apis.workload import CHOICE, GROUP, VERSION, Binding, Workload
from apiserver.apis.workloadclass import retain_problem
from apiserver.registry.claims import lease, usagerecords
from apiserver.registry.claims.binding import binding_causes, keep_binding, with_binding, with_state_of_earlier_controllers
from apiserver.registry.claims.claims import Claims, adopting, bound, free_reason, with_release_finalizer
from apiserver.registry.claims.heartbeat import Heartbeat
from apiserver.registry.claims.projection import projection_inputs
from apiserver.registry.fieldmanager import FieldSet
from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.context import Context
from apiserver.registry.generic.entry import Entry
from apiserver.registry.generic.metadata import mark_deleted, now
from apiserver.registry.generic.registry import Registry
from apiserver.registry.generic.resource import AGE, READ_WRITE, Column, Resource
from apiserver.registry.generic.strategy import Admission, Strategy
from apiserver.registry.generic.validation import causes_of, refuse
from apiserver.registry.workloadclass import default_class
from storage.base import Check, Operation
from storage.cache import WatchCache

WORKLOADS = Resource(
    group=GROUP,
    version=VERSION,
    kind="Workload",
    plural="workloads",
    short_names=("mwl",),
    categories=("all", "metal3-workloads"),
    model=Workload,
    columns=(
        Column("Phase", "status.phase", description="Pending, Bound, Provisioning, Running, Stopped, Deprovisioning, Failed or Lost"),
        Column("Class", "spec.className", description="Where the machine comes from"),
        Column("Host", "status.host.name", description="The machine, by the name of its BareMetalHost"),
        Column("Ready", "status.conditions.(Ready).status", description="Whether it runs as asked for"),
        AGE,
        Column("Image", "spec.image.url", priority=1, description="The operating system"),
        Column("Online", "status.poweredOn", type="boolean", priority=1, description="Whether the machine is powered on"),
        Column("Healthy", "status.conditions.(Healthy).status", priority=1, description="What the machine's own controller says"),
        Column("Expires", "status.lease.expirationTimestamp", priority=1, description="When it is deleted by itself"),
        Column("Reason", "status.conditions.(Ready).reason", priority=1, description="Why it is not ready, in a word"),
        Column("Message", "status.conditions.(Ready).message", priority=1, description="What it waits for"),
    ),
    fields={path: path for path in ("spec.className", "status.phase", "status.host.name")},
    indexed={".uid": "metadata.uid", ".cpu": "spec.requirements.cpuCount", ".ram": "spec.requirements.ram"},
    subresources={"status": READ_WRITE, "binding": frozenset({"create"})},
)

_KEPT_FINALIZER = (
    f"metadata.finalizers: {RELEASE_FINALIZER} stays as long as the Workload has a host; its controllers remove it after the release"
)
_RUNS_NOTHING = "spec has neither image nor customDeploy: it reserves a machine, on which nothing will run"
_NEW = {"phase": "Pending", "observedGeneration": 0}
"""The status of a new Workload. Its generation shows that no controller has seen the spec yet.
Otherwise, kstatus would take an object without conditions for ready."""
_FILLED = FieldSet.of(("f:spec", "f:className"), *(("f:status", f"f:{field}") for field in _NEW))


class WorkloadStrategy(Strategy):
    """The rules of Workloads.

    They fill in the default class, fix the fields that selected the host once there is one, and let
    only a binding write status.host."""

    def __init__(self, claims: Claims, classes: Registry, heartbeat: Heartbeat) -> None:
        self.claims, self.classes, self.heartbeat = claims, classes, heartbeat

    def prepare_create(self, context: Context, new: dict[str, Any]) -> dict[str, Any]:
        """Return a new Workload in phase Pending."""
        new["status"] = dict(_NEW)
        spec = new.get("spec") or {}
        if isinstance(spec, dict) and not any(spec.get(field) for field in ("image", "customDeploy", "consumerRef")):
            context.warnings.append(_RUNS_NOTHING)
        return _without_empty_class(new)

    def fill(self, old: dict[str, Any] | None, new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Fill in className: the default class on creation, afterwards the present one.

        Without a default class it stays empty, and a condition reports that. A changed lease gets
        its end. A status gets the state that controllers of an earlier version do not write."""
        if subresource == "status":
            return with_state_of_earlier_controllers(old, new)
        if subresource:
            return new
        new = self._with_class(old, new)
        return self._with_lease(new) if old is not None and old["spec"].get("lease") != new["spec"].get("lease") else new

    def _with_class(self, old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
        spec = new["spec"]
        if "className" in spec:
            return new
        name = default_class(self.classes) if old is None else old["spec"].get("className")
        if name is None:
            return new
        filled = {**spec, "className": name}
        return {**new, "spec": old["spec"] if old is not None and filled == old["spec"] else filled}

    def _with_lease(self, new: dict[str, Any]) -> dict[str, Any]:
        """Return the Workload, whose spec.lease was changed, with the end of its lease."""
        status = new.get("status") or {}
        if "host" not in status:
            return new
        made = lease.changed(status, new["spec"], self._lease_rules(new), now())
        status = {field: value for field, value in status.items() if field != "lease"}
        return {**new, "status": {**status, "lease": made} if made is not None else status}

    def _lease_rules(self, workload: dict[str, Any]) -> dict[str, Any]:
        """Return the rules for leases of the Workload's class."""
        name = workload["spec"].get("className")
        return ((class_spec(self.classes, name) if name else None) or {}).get("lease") or {}

    def filled(self, obj: dict[str, Any]) -> FieldSet:
        """Return the class and the first status."""
        return _FILLED

    def prepare_update(self, context: Context, old: dict[str, Any], new: dict[str, Any], subresource: str) -> dict[str, Any]:
        """Keep status.host as the binding wrote it, status.binding while there is a host, and the
        release finalizer while a host is claimed."""
        new = _without_empty_class(super().prepare_update(context, old, new, subresource))
        if self.claims.host_of_workload(old) is not None and (held := with_release_finalizer(new)) is not new:
            new = held
            if _has_release_finalizer(old) and _KEPT_FINALIZER not in context.warnings:
                context.warnings.append(_KEPT_FINALIZER)
        if not subresource:
            context.warnings += filter(None, (_update_warning(old, new), lease.shortened(old, new.get("spec"))))
        if subresource == "status" and isinstance(status := new.get("status") or {}, dict) and (status or self._has_host(old)):
            new["status"] = keep_binding(old.get("status") or {}, status)
        return new

    def mark_deleted(self, old: dict[str, Any], propagation: str) -> dict[str, Any] | None:
        """Keep a Workload that has a host with the release finalizer, even if an earlier version
        allowed its removal."""
        return mark_deleted(with_release_finalizer(old) if self.claims.host_of_workload(old) is not None else old, propagation)

    def validate(self, old: dict[str, Any] | None, new: dict[str, Any]) -> list[dict[str, str]]:
        """Check that secrets are in the same namespace, and fix the fields that selected the
        host."""
        spec, namespace = new["spec"], new["metadata"]["namespace"]
        causes = spec_causes(self.classes, spec, old["spec"] if old is not None else None, namespace)
        causes += lease.problems(old, new, self._lease_rules(new), now())
        if old is None:
            return causes
        causes += binding_causes(old, new) + lease.early(old, new, now())
        # caused by an admission webhook, because a finalizer that a client omits is kept
        if self._drops_release(old, new):
            causes.append(cause("FieldValueForbidden", f"Forbidden: {_KEPT_FINALIZER}", "metadata.finalizers"))
        before = old["spec"]
        for field in CHOICE if self._has_host(old) else ():
            if spec.get(field) != before.get(field):
                causes.append(cause("FieldValueForbidden", _fixed(field, before.get(field), spec.get(field)), f"spec.{field}"))
        return causes

    def _has_host(self, old: dict[str, Any]) -> bool:
        """Return whether a host was chosen.

        A concurrent binding makes this write start again from the state that the binding wrote."""
        return "host" in (old.get("status") or {}) or self.claims.host_of_workload(old) is not None

    def _drops_release(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        """Return whether the write would let the Workload end without releasing its host.

        Such a host would stay claimed without a Workload: unreachable, and not counted by any
        quota. The claim decides, not the writer: controllers clear the claim first, too."""
        return _has_release_finalizer(old) and not _has_release_finalizer(new) and self.claims.host_of_workload(old) is not None

    async def operations(
        self, context: Context, entry: Entry | None, old: dict[str, Any] | None, new: dict[str, Any]
    ) -> tuple[dict[str, Any], list[Operation]]:
        """Update the view of the host that the Workload has. If the write says that the lease has
        expired, the lease may get more time instead."""
        if old is None:
            return new, []
        if lease.expires(old, new):
            more = lease.with_grace(new, await self.heartbeat.since(), self._lease_rules(new), now())
            new = {**new, "status": more} if more is not None else new
        return new, self._view(old, new)

    def operations_of_removal(self, entry: Entry, last: dict[str, Any]) -> list[Operation]:
        """Update the view also when the Workload is removed."""
        return self._view(last, None)

    def _view(self, old: dict[str, Any], new: dict[str, Any] | None) -> list[Operation]:
        """Return the operations on the view of the host.

        They require that the Host is unchanged since this decision, even if the view stays the
        same: a concurrent report could change the view."""
        host = self.claims.host_of_workload(new or old)
        if host is None:
            return []
        check = Check(host.key, host.revision)
        if new is not None and projection_inputs(old) == projection_inputs(new):
            return [check]
        return [*self.claims.view_operations(host.object(), new), check]

    def check_commit(self, old: dict[str, Any] | None, new: dict[str, Any], operations: Sequence[Operation], *, follows: bool) -> None:
        """Check the size of the Workload with its host and the host's view."""
        host = self.claims.host_of_workload(new) if old is not None else None
        if host is not None:
            self.claims.check_commit(host, new["metadata"]["namespace"], new["metadata"]["name"], operations, follows=follows)


def _another_choice(workload: dict[str, Any], host: dict[str, Any], decided: dict[str, Any]) -> str | None:
    """Return why the host was chosen for another state of the Workload, or None.

    Fields that select a host may change until a binding is committed."""
    metadata, wanted = workload["metadata"], workload["spec"].get("className")
    if decided.get("uid") not in (None, metadata["uid"]):
        return "it is another Workload of that name; choose a host for this one"
    if decided.get("generation") not in (None, metadata.get("generation")):
        return "its spec has changed since the host was chosen; choose again"
    if wanted not in (None, host["spec"]["className"]):
        return f"its class is {wanted}, and the host's is not; choose a host of its class"
    return None


def _has_release_finalizer(workload: dict[str, Any]) -> bool:
    """Return whether the Workload has the finalizer that keeps it until its host is released."""
    return RELEASE_FINALIZER in (workload["metadata"].get("finalizers") or ())


def class_spec(classes: Registry, name: str) -> dict[str, Any] | None:
    """Return the spec of the class, or None if it does not exist (yet)."""
    entry = classes.find("", name)
    return entry.object()["spec"] if entry is not None else None


def spec_causes(classes: Registry, spec: dict[str, Any], before: dict[str, Any] | None, namespace: str) -> list[dict[str, str]]:
    """Return causes for refusing this spec for any Workload in the namespace.

    `before` is the stored spec, or None if there is none."""
    return [
        *_secret_causes(spec, before or {}, namespace),
        *_forbidden_deployment(classes, spec, before),
        *_forbidden_retention(classes, spec, before),
        *(
            cause("FieldValueTooLong", f"Too long: may not be more than {most} bytes", f"spec.{path}")
            for path, most in long_texts(spec, before or {})
        ),
    ]


def _secret_causes(spec: dict[str, Any], before: dict[str, Any], namespace: str) -> Iterator[dict[str, str]]:
    """Yield causes for references to secrets that are not in the namespace."""
    for field in FIRST_BOOT:
        reference = spec.get(field)
        if reference is None or before.get(field) == reference:
            # unchanged, so no reason to refuse a change of status, labels or finalizers
            continue
        if not reference.get("name"):
            yield cause("FieldValueRequired", "Required value: the name of a secret", f"spec.{field}.name")
        other = reference.get("namespace")
        if other not in (None, "", namespace):
            message = f'Invalid value: "{other}": secrets are taken from the own namespace only: use {namespace}, or leave it out'
            yield cause("FieldValueInvalid", message, f"spec.{field}.namespace")


def _forbidden_deployment(classes: Registry, spec: dict[str, Any], before: dict[str, Any] | None) -> list[dict[str, str]]:
    """Return causes for a deployment that the class does not allow.

    A stored and unchanged one stays accepted, even if the class has changed."""
    fields = ("className", "image", "customDeploy")
    if before is not None and all(before.get(field) == spec.get(field) for field in fields):
        return []
    name = spec.get("className")
    terms = class_spec(classes, name) if name else None
    return deploy_causes(spec, terms) + checksum_causes(spec, terms, before or {})


def _forbidden_retention(classes: Registry, spec: dict[str, Any], before: dict[str, Any] | None) -> list[dict[str, str]]:
    """Return causes for a reclaimPolicy that the class does not allow.

    A stored one stays accepted; it is checked again when it takes effect."""
    if before is not None and all(before.get(field) == spec.get(field) for field in ("className", "reclaimPolicy")):
        return []
    name = spec.get("className")
    terms = class_spec(classes, name) if name else None
    return retain_causes(spec, terms) if terms is not None else []


def deploy_causes(spec: dict[str, Any], class_spec: dict[str, Any] | None) -> list[dict[str, str]]:
    """Return causes for the image, its checksum or the deploy method of the spec."""
    return [
        cause("FieldValueInvalid", f"Invalid value: {problem}", f"spec.{field}") for field, problem in deploy_problems(spec, class_spec)
    ]


def checksum_causes(spec: dict[str, Any], class_spec: dict[str, Any] | None, before: dict[str, Any] | None = None) -> list[dict[str, str]]:
    """Return causes for a checksum that is missing or malformed.

    `before` is the stored spec, whose checksum is accepted."""
    missing, bad = checksum_problem(spec, class_spec), digest_problem(spec.get("image"), (before or {}).get("image"))
    causes = [cause("FieldValueRequired", f"Required value: {missing}", "spec.image.checksum")] if missing is not None else []
    return [*causes, cause("FieldValueInvalid", f"Invalid value: {bad}", "spec.image.checksum")] if bad is not None else causes


def retain_causes(spec: dict[str, Any], class_spec: dict[str, Any]) -> list[dict[str, str]]:
    """Return causes for the reclaimPolicy of the spec."""
    problem = retain_problem(spec, class_spec)
    return [cause("FieldValueForbidden", f"Forbidden: {problem}", "spec.reclaimPolicy")] if problem is not None else []


def _without_empty_class(new: dict[str, Any]) -> dict[str, Any]:
    """Return the Workload without a className of "", which is equivalent to none."""
    spec = new.get("spec")
    if not isinstance(spec, dict) or spec.get("className") != "":
        return new
    return {**new, "spec": {field: value for field, value in spec.items() if field != "className"}}


def _update_warning(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """Return a warning for a tenant that changes the image of a running host, or None."""
    spec, before = new.get("spec"), old["spec"]
    if not isinstance(spec, dict) or (old.get("status") or {}).get("phase") not in ("Running", "Stopped"):
        return None
    changed = next((field for field in ("image", "customDeploy") if spec.get(field) and spec[field] != before.get(field)), None)
    if changed is None or spec.get("updatePolicy") == "Recreate":
        return None
    return f"spec.{changed}: what runs on the host is kept (spec.updatePolicy is OnDelete); Recreate wipes it and installs the new one"


def _fixed(field: str, stored: Any, sent: Any) -> str:
    """Return why a field that selected the host may not change."""
    why = "Forbidden: it led to the choice of the host and is immutable"
    if sent is None:
        return f"{why}: send it as it is stored"
    if stored is None:
        return f"{why}: leave it out"
    kept = f" ({stored})" if isinstance(stored, str) else ""
    return f"{why}: leave it as it is stored{kept}; for a machine that is chosen otherwise create another Workload"


class WorkloadRegistry(Registry):
    """The generic registry with the binding subresource."""

    def __init__(self, cache: WatchCache, claims: Claims, classes: Registry, admission: Admission | None = None) -> None:
        self.claims, self.heartbeat = claims, Heartbeat(cache)
        strategy = WorkloadStrategy(claims, classes, self.heartbeat)
        super().__init__(WORKLOADS, cache, strategy=strategy, admission=admission, convert=with_binding)

    async def connect(self, context: Context, namespace: str, name: str, subresource: str, body: dict[str, Any]) -> dict[str, Any]:
        """Execute POST binding."""
        if subresource != "binding":
            raise path_not_found()
        self.get(namespace, name)
        binding = self._binding(name, body)
        namespace_uid = await self.claims.namespaces.current(namespace)

        async def attempt() -> dict[str, Any]:
            admitted = await self.admission.admit(Attributes("CREATE", context, self.resource, namespace, name, binding, None, subresource))
            asked = self._binding(name, admitted or binding)
            target = asked["target"]["name"]
            operations = self._bind(namespace, namespace_uid, name, target, asked["metadata"])
            if operations and not context.dry_run:
                await self.cache.commit([*operations, *context.operations])
                context.finish(True)
                await self.claims.show_now(target)
            return success()

        with context.finishing():
            return await self.retrying(name, attempt)

    def _binding(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the Binding in the form of its model."""
        try:
            return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "Binding", **Binding.decode(body).encode()}
        except ValidationError as error:
            raise refuse(self.resource, name, causes_of(error)) from None

    def _bind(self, namespace: str, namespace_uid: str, name: str, target: str, decided: dict[str, Any]) -> list[Operation]:
        """Return the operations that bind, none if the Workload is bound to the target already.

        `decided` has the metadata of the Workload for which the host was chosen, as far as the
        binding contains it. Raises ApiError if the Workload cannot be bound."""
        entry, host_entry = self.get(namespace, name), self.claims.hosts.get("", target)
        workload, host = entry.object(), host_entry.object()
        if (host["spec"].get("claimRef") or {}).get("uid") == workload["metadata"]["uid"]:
            return []
        if "deletionTimestamp" in workload["metadata"]:
            raise conflict(GROUP, "workloads", name, "it is being deleted")
        if "host" in (workload.get("status") or {}):
            raise conflict(GROUP, "workloads", name, f"it has the host {workload['status']['host']['name']} already")
        if (other := _another_choice(workload, host, decided)) is not None:
            raise conflict(GROUP, "workloads", name, other)
        why = None if adopting(host, workload, namespace_uid) else free_reason(host, namespace_uid)
        if why is not None:
            raise conflict(GROUP, "hosts", target, why)
        terms = class_spec(self.claims.classes, host["spec"]["className"]) or {}
        causes = deploy_causes({**workload["spec"], "className": host["spec"]["className"]}, terms) + retain_causes(workload["spec"], terms)
        if causes:
            raise refuse(self.resource, name, causes)
        host, workload = bound(host, workload, {"name": self.claims.view_name(host, namespace)}, namespace_uid, terms.get("lease"))
        view = self.claims.view_operations(host, workload)
        operations = [self.put(entry, workload), self.claims.hosts.put(host_entry, host), *view]
        self.claims.check_commit(host_entry, namespace, name, operations)
        return [*operations, *usagerecords.operations(self.claims.records, host, begins=True)]


def success() -> dict[str, Any]:
    """Return the answer of an action that has no object, as pods/binding does."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
