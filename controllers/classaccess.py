"""Decide which namespaces may use a WorkloadClass, and which class a Workload has."""

from __future__ import annotations

import re
from collections.abc import Iterable

from apiserver.apis.bounded import bounded_lru_cache
from apiserver.apis.images import deploy_problems
from apiserver.apis.names import DEFAULT_CLASS_ANNOTATION
from apiserver.apis.workloadclass import retain_problem
from apiserver.client.objects import Object, annotations_of, deleting, labels_of, matches, name_of


def is_active(namespace: Object) -> bool:
    """Return whether the namespace is active, and not being deleted."""
    return (namespace.get("status") or {}).get("phase", "Active") == "Active" and not namespace["metadata"].get("deletionTimestamp")


def is_connected(class_: Object) -> bool:
    """Return whether the class's source of machines answers, according to the class's status."""
    conditions = (class_.get("status") or {}).get("conditions") or ()
    return any((item["type"], item["status"]) == ("Connected", "True") for item in conditions)


def admits(class_: Object, namespace: Object) -> bool:
    """Return whether the class allows the namespace more of its hosts.

    A class that is being deleted allows none."""
    return not deleting(class_) and names_namespace(class_, namespace)


def names_namespace(class_: Object, namespace: Object) -> bool:
    """Return whether the class's rules name the namespace: by name, pattern or labels.

    Without a rule, no namespace is named."""
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


@bounded_lru_cache(256, 1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def default_class(classes: Iterable[Object]) -> Object | None:
    """Return the class of Workloads that name none: the newest one that is annotated as default.

    The same rule applies to StorageClasses."""
    found = [class_ for class_ in classes if not deleting(class_) and annotations_of(class_).get(DEFAULT_CLASS_ANNOTATION) == "true"]
    return max(found, key=lambda class_: (class_["metadata"].get("creationTimestamp") or "", name_of(class_)), default=None)


def not_allowed(class_: Object, workload: Object) -> tuple[str, str] | None:
    """Return a reason and a message if the class does not allow the Workload's deployment, else
    None."""
    problems = deploy_problems({**workload["spec"], "className": name_of(class_)}, class_["spec"])
    if not problems:
        return None
    field, problem = problems[0]
    reason = "ImageNotAllowed" if field.startswith("image") else "DeployMethodNotAllowed"
    return reason, f"spec.{field}: {problem}"


def retain_refused(class_: Object, workload: Object) -> tuple[str, str] | None:
    """Return a reason and a message if the class does not allow the Workload to retain its host,
    else None."""
    problem = retain_problem(workload["spec"], class_["spec"])
    return ("RetainNotAllowed", f"spec.reclaimPolicy: {problem}") if problem is not None else None


def reclaimed_as_allowed(class_: Object | None, workload: Object) -> Object:
    """Return the Workload with the reclaimPolicy that its release must use.

    The class's present rules decide, whatever they were when the Workload was written."""
    if retain_problem(workload["spec"], class_["spec"] if class_ is not None else {}) is None:
        return workload
    return {**workload, "spec": {**workload["spec"], "reclaimPolicy": "Delete"}}


def deployment_terms(class_: Object) -> list[object]:
    """Return the rules of a class that decide what may be deployed on a Workload's host."""
    return [class_["spec"].get(rule) for rule in ("images", "customDeploy", "secrets", "allowedNamespaces")]
