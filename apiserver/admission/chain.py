"""Run the admission plugins of a write in order. Each sees the result of the previous one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.strategy import Admission


class AdmissionChain:
    """An Admission that consists of several plugins.

    The order is NamespaceLifecycle, MutatingAdmissionPolicy, MutatingWebhook,
    ValidatingAdmissionPolicy, ValidatingWebhook, MachineQuota, ResourceQuota. Mutating plugins come
    first, so that validating ones see the final object. Quota is charged last, so that no refused
    write is counted."""

    def __init__(self, plugins: Sequence[Admission]) -> None:
        self._plugins = list(plugins)

    def add(self, plugin: Admission) -> None:
        """Append a plugin, which may need the registries that are created with this chain."""
        self._plugins.append(plugin)

    async def admit(self, attributes: Attributes) -> dict[str, Any] | None:
        """Run the plugins. See Admission."""
        for plugin in self._plugins:
            new = await plugin.admit(attributes)
            if new is not attributes.new:
                attributes = attributes._replace(new=new)
        return attributes.new
