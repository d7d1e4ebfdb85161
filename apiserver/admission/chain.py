"""The admission plugins of a write, in order. Each sees what the one before it returned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apiserver.registry.generic.attributes import Attributes
    from apiserver.registry.generic.strategy import Admission

__all__ = ["AdmissionChain"]


class AdmissionChain:
    """An Admission of several. Mutating plugins come first, validating ones see the final object, quota is charged last, so that
    nothing refused is counted: NamespaceLifecycle, MutatingWebhook, ValidatingWebhook, ResourceQuota."""

    def __init__(self, plugins: Sequence[Admission]) -> None:
        self._plugins = tuple(plugins)

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """See Admission."""
        for plugin in self._plugins:
            new = await plugin.admit(attributes)
            if new is not attributes.new:
                attributes = attributes._replace(new=new)
        return attributes.new
