"""Read Kubernetes objects that are plain dicts: keys, metadata, label selectors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from apiserver.client.errors import ApiException

Object = dict[str, Any]
"""A Kubernetes object as decoded JSON. Objects from an informer are shared: never change them."""
PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]*")
"""Text that is safe in a URL, and cannot be read as a path to another directory."""


@dataclass(frozen=True, slots=True)
class Resource:
    """The address of a kind: group ("" for core), version and plural.

    `kind` and `namespaced` are for the callers that need them."""

    group: str
    version: str
    plural: str
    kind: str = ""
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return group/version, or only the version for the core group, as in objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the URL path of a collection, an object or its subresource. "" means all
        namespaces.

        Names come from tenants, and the request has the controllers' permissions. A name that could
        lead elsewhere belongs to no object. Raises ApiException (404) for it.
        """
        parts = ["/apis", _segment(self.group)] if self.group else ["/api"]
        parts.append(_segment(self.version))
        if namespace:
            parts += ["namespaces", _segment(namespace)]
        parts.append(_segment(self.plural))
        parts += [_segment(part) for part in (name, subresource) if part]
        return "/".join(parts)


def _segment(text: str) -> str:
    """Return a part of a path (k8s.io/apimachinery IsValidPathSegmentName)."""
    if PLAIN.fullmatch(text):
        return text
    if text in ("", ".", "..") or "/" in text or "%" in text:
        raise ApiException(404, "NotFound", f"nothing can have the name {text!r}", details={"name": text})
    return quote(text, safe="")


def typed(resource: Resource, obj: Object) -> Object:
    """Return the object with its apiVersion and kind, which the items of a list leave out."""
    return {**obj, "apiVersion": resource.api_version, "kind": resource.kind}


def name_of(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    """Return the namespace, "" for cluster-scoped objects."""
    return str(obj["metadata"].get("namespace") or "")


def uid_of(obj: Object) -> str:
    return str(obj["metadata"].get("uid") or "")


def labels_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def deleting(obj: Object) -> bool:
    """Return whether the object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def key_of(obj: Object) -> str:
    """Return "namespace/name", or "name" for cluster-scoped objects: the key in queues and
    stores."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def split_key(key: str) -> tuple[str, str]:
    """Return the namespace and the name of a key. The namespace is "" for cluster-scoped
    objects."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


def matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """Return whether a LabelSelector (as JSON) matches. None and an empty one match everything."""
    if not selector:
        return True
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression(requirement, labels) for requirement in selector.get("matchExpressions") or ())


def _expression(requirement: Object, labels: dict[str, str]) -> bool:
    key, values = requirement["key"], requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values  # as in Kubernetes, true if the label is missing
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False
