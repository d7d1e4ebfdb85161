"""Build the variables of a policy's expressions for one write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apiserver.admission.review import request_of
from apiserver.cel.library.authorizer import Authorizer, Decision, Question, ResourceCheck
from apiserver.registry.generic.attributes import Attributes

NAMESPACE_FIELDS = frozenset(
    [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "labels",
        "annotations",
        "finalizers",
    ]
)


def variables_of(attributes: Attributes, namespace: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the variables that all expressions have. Params, variables and authorizers are not
    among them."""
    request = {key: value for key, value in request_of("", attributes).items() if key not in ("object", "oldObject")}
    return {"object": attributes.new, "oldObject": attributes.old, "request": request, "namespaceObject": _namespace(namespace)}


def _namespace(namespace: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the part of a namespace that expressions see."""
    if namespace is None:
        return None
    metadata = {key: value for key, value in namespace["metadata"].items() if key in NAMESPACE_FIELDS}
    return {"metadata": metadata, "spec": namespace.get("spec") or {}, "status": namespace.get("status") or {}}


def authorizers(attributes: Attributes, decisions: Mapping[Question, Decision]) -> dict[str, Any]:
    """Return the authorizer of the request's user, and its check of the written object."""
    resource = attributes.resource
    question = Question(
        ("", ""),
        "",
        group=resource.group,
        resource=resource.plural,
        subresource=attributes.subresource,
        namespace=attributes.namespace,
        name=attributes.name,
    )
    authorizer = Authorizer(decisions)
    return {"authorizer": authorizer, "authorizer.requestResource": ResourceCheck(authorizer, question)}
