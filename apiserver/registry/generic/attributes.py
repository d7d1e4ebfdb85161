"""What is known of one write when it is admitted: the words that rules, webhooks and quotas decide over (admission.Attributes)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from apiserver.registry.generic.context import Context
    from apiserver.registry.generic.resource import Resource

__all__ = ["Attributes"]


class Attributes(NamedTuple):
    """One write. `operation` is CREATE, UPDATE or DELETE. `new`: the object that is about to be stored, None for DELETE; `old`: what is
    stored, None for CREATE. An action such as binding has its body for `new`. Neither is changed in place."""

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
        """Group, version and kind of what is written: the body's own for an action such as binding."""
        obj = self.new if self.subresource not in ("", "status") else None
        version, kind = (obj or {}).get("apiVersion"), (obj or {}).get("kind")
        if isinstance(version, str) and isinstance(kind, str) and kind:
            group, _, version = version.rpartition("/")
            return group, version, kind
        return self.resource.group, self.resource.version, self.resource.kind
