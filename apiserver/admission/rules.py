"""Which writes a webhook's rules and selectors choose. Pure; meaning and defaults as in k8s.io/apiserver's webhook predicates.

matchPolicy makes no difference here: each of this server's kinds is served in one version, so nothing has an equivalent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apiserver.registry.generic.selectors import LabelSelector, Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apiserver.registry.generic.attributes import Attributes

__all__ = ["Rule", "label_selector", "labels_of", "objects_match"]

_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One of admissionregistration.k8s.io/v1 RuleWithOperations."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    """(resource, subresource) pairs; "*" is any, an empty subresource is the resource itself only."""
    scope: str = "*"

    @classmethod
    def parse(cls, rule: Mapping[str, Any]) -> Rule:
        """From the configuration's JSON."""
        operations, groups, versions = (frozenset(rule.get(field) or ()) for field in ("operations", "apiGroups", "apiVersions"))
        pairs = (name.partition("/") for name in rule.get("resources") or ())
        resources = tuple((resource, subresource) for resource, _, subresource in pairs)
        return cls(operations, groups, versions, resources, rule.get("scope") or "*")

    def matches(self, attributes: Attributes) -> bool:
        """Whether it chooses the write."""
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
    """A meta/v1 LabelSelector; none, and an empty one, choose everything."""
    selector = selector or {}
    found = [Requirement(key, "=", frozenset([value])) for key, value in (selector.get("matchLabels") or {}).items()]
    found += [_requirement(expression) for expression in selector.get("matchExpressions") or ()]
    return LabelSelector(tuple(found))


def objects_match(selector: LabelSelector, attributes: Attributes) -> bool:
    """Whether the object is chosen as it is to be, or as it was."""
    if not selector.requirements:
        return True
    return any(selector.matches(labels_of(obj)) for obj in (attributes.new, attributes.old) if obj is not None)


def labels_of(obj: Mapping[str, Any]) -> dict[str, str]:
    """The object's labels."""
    return (obj.get("metadata") or {}).get("labels") or {}


def _has(words: Iterable[str], wanted: str) -> bool:
    return "*" in words or wanted in words


def _requirement(expression: Mapping[str, Any]) -> Requirement:
    operator = _OPERATORS[expression["operator"]]
    # The operator was looked at above.
    return Requirement(expression["key"], operator, frozenset(expression.get("values") or ()))  # type: ignore[arg-type]
