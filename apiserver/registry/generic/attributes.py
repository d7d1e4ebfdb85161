"""Describe one write for admission (k8s.io/apiserver's admission.Attributes).

Rules, webhooks and quotas decide by these attributes."""

from __future__ import annotations

from typing import Any, NamedTuple

from apiserver.registry.generic.context import Context
from apiserver.registry.generic.resource import Resource


class Attributes(NamedTuple):
    """The attributes of one write. Neither object is changed in place.

    `operation` is CREATE, UPDATE or DELETE. `new` is the object that is about to be stored, None
    for DELETE; `old` is the stored object, None for CREATE. For an action such as binding, `new` is
    the request's body."""

    operation: str
    context: Context
    resource: Resource
    namespace: str
    name: str
    new: dict[str, Any] | None
    old: dict[str, Any] | None
    subresource: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        """Return group, version and kind of the written object: the body's own for an action."""
        obj = self.new if self.subresource not in ("", "status") else None
        version, kind = (obj or {}).get("apiVersion"), (obj or {}).get("kind")
        if isinstance(version, str) and isinstance(kind, str) and kind:
            group, _, version = version.rpartition("/")
            return group, version, kind
        return self.resource.group, self.resource.version, self.resource.kind
