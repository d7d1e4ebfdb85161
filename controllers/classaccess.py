"""Who may use a WorkloadClass, and which class a Workload is of. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from apiserver.apis.bounded import remembering
from apiserver.apis.images import deploy_problems
from apiserver.apis.workloadclass import DEFAULT_CLASS_ANNOTATION, retain_problem
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, matches, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "admits",
    "default_class",
    "deployment_terms",
    "is_active",
    "is_connected",
    "lets_in",
    "not_allowed",
    "reclaimed_as_allowed",
    "retain_refused",
]


def is_active(namespace: Object) -> bool:
    """Whether the namespace is there to stay: not being deleted."""
    return (namespace.get("status") or {}).get("phase", "Active") == "Active" and not namespace["metadata"].get("deletionTimestamp")


def is_connected(class_: Object) -> bool:
    """Whether the class's source of machines answers, as its controller said last."""
    conditions = (class_.get("status") or {}).get("conditions") or ()
    return any((item["type"], item["status"]) == ("Connected", "True") for item in conditions)


def admits(class_: Object, namespace: Object) -> bool:
    """Whether the class lets the namespace have more of its hosts. A class that is being deleted admits nobody."""
    return not deleting(class_) and lets_in(class_, namespace)


def lets_in(class_: Object, namespace: Object) -> bool:
    """Return whether the class's rules name the namespace: by name, pattern or labels. No rule names nobody."""
    rules = class_["spec"].get("allowedNamespaces") or {}
    name = name_of(namespace)
    names = rules.get("names") or ()
    if "*" in names or name in names:
        return True
    pattern = rules.get("nameMatches")
    if pattern and _compiled(pattern).fullmatch(name):
        return True
    selector = rules.get("selector")
    return selector is not None and matches(selector, labels_of(namespace))


@remembering(256, 1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def default_class(classes: Iterable[Object]) -> Object | None:
    """The class that Workloads without one get: annotated as default; of several the newest, as with StorageClasses."""
    found = [class_ for class_ in classes if not deleting(class_) and annotations_of(class_).get(DEFAULT_CLASS_ANNOTATION) == "true"]
    return max(found, key=lambda class_: (class_["metadata"].get("creationTimestamp") or "", name_of(class_)), default=None)


def not_allowed(class_: Object, workload: Object) -> tuple[str, str] | None:
    """Reason and message when the class does not let the Workload deploy what it asks for; None when it does."""
    problems = deploy_problems(workload["spec"], class_["spec"])
    if not problems:
        return None
    field, problem = problems[0]
    reason = "ImageNotAllowed" if field.startswith("image") else "DeployMethodNotAllowed"
    return reason, f"spec.{field}: {problem}"


def retain_refused(class_: Object, workload: Object) -> tuple[str, str] | None:
    """Reason and message when the class does not let the Workload leave its host as it is; None when it does, or is not asked to."""
    problem = retain_problem(workload["spec"], class_["spec"])
    return ("RetainNotAllowed", f"spec.reclaimPolicy: {problem}") if problem is not None else None


def reclaimed_as_allowed(class_: Object | None, workload: Object) -> Object:
    """The Workload with the reclaimPolicy that counts for its release: what the class says now, whatever it said when it was written."""
    if retain_problem(workload["spec"], class_["spec"] if class_ is not None else {}) is None:
        return workload
    return {**workload, "spec": {**workload["spec"], "reclaimPolicy": "Delete"}}


def deployment_terms(class_: Object) -> list[object]:
    """What of a class decides what may be put on a host that a Workload has."""
    return [class_["spec"].get(rule) for rule in ("images", "customDeploy", "secrets", "allowedNamespaces")]
