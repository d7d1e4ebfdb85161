"""Match writes against a webhook's rules and selectors, as k8s.io/apiserver's webhook predicates
do.

matchPolicy makes no difference here: each kind of this server has one version, so there are no
equivalents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apiserver.registry.generic.attributes import Attributes
from apiserver.registry.generic.selectors import LabelSelector


@dataclass(frozen=True, slots=True)
class Rule:
    """One RuleWithOperations of admissionregistration.k8s.io/v1."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    """Pairs of a resource and a subresource: "*" is any, an empty subresource is only the resource
    itself."""
    scope: str = "*"

    @classmethod
    def parse(cls, rule: Mapping[str, Any]) -> Rule:
        """Return the rule of the configuration's JSON."""
        operations, groups, versions = (frozenset(rule.get(field) or ()) for field in ("operations", "apiGroups", "apiVersions"))
        pairs = (name.partition("/") for name in rule.get("resources") or ())
        resources = tuple((resource, subresource) for resource, _, subresource in pairs)
        return cls(operations, groups, versions, resources, rule.get("scope") or "*")

    def matches(self, attributes: Attributes) -> bool:
        """Return whether the rule matches the write."""
        resource = attributes.resource
        return (
            self._scope(attributes)
            and _has(self.operations, attributes.operation)
            and _has(self.groups, resource.group)
            and _has(self.versions, resource.version)
            and any(name in ("*", resource.plural) and subresource in ("*", attributes.subresource) for name, subresource in self.resources)
        )

    def _scope(self, attributes: Attributes) -> bool:
        return self.scope == "*" or (self.scope == "Namespaced") is attributes.resource.namespaced


def label_selector(selector: Mapping[str, Any] | None) -> LabelSelector:
    """Return a meta/v1 LabelSelector in parsed form. None and an empty one match everything."""
    return LabelSelector.of(selector or {})


def objects_match(selector: LabelSelector, attributes: Attributes) -> bool:
    """Return whether the selector matches the new or the old object."""
    if not selector.requirements:
        return True
    return any(selector.matches(labels_of(obj)) for obj in (attributes.new, attributes.old) if obj is not None)


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """Return the object's labels."""
    return (obj.get("metadata") or {}).get("labels") or {}


def _has(words: Iterable[str], wanted: str) -> bool:
    return "*" in words or wanted in words
